// A folder for the files of a test program.
#pragma once

#include <filesystem>
#include <random>
#include <string>

#include "os/path.h"

namespace cellsam::test {

// A folder of this process under the system's temporary folder, removed at the end.
class Folder {
 public:
  Folder() {
    std::random_device source;
    do {
      path_ = std::filesystem::temp_directory_path() / ("cellsam-" + std::to_string(source()));
    } while (!std::filesystem::create_directory(path_));
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return os::text_of(path_ / os::path_of(name)); }
  std::size_t files() const { return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {})); }

 private:
  std::filesystem::path path_;
};

}  // namespace cellsam::test
