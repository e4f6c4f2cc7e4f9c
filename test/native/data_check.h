// What the data test programs share: numbered findings as JSON lines, {"name","max_error","limit","ok"}, at last
// {"case","compared","failed"}, which data.test.ts reads; and a folder for their files.
#pragma once

#include <cstdio>
#include <filesystem>
#include <random>
#include <string>

#include "engine.h"
#include "os/path.h"

namespace cellsam::test {

class Checks {
 public:
  explicit Checks(std::string name) : name_(std::move(name)) {}

  void near(const std::string& what, double error, double limit) {
    const bool ok = error <= limit;
    std::printf("{\"name\":\"%s\",\"max_error\":%.6g,\"limit\":%.6g,\"ok\":%s}\n", what.c_str(), error, limit,
                ok ? "true" : "false");
    ++compared_;
    failed_ += ok ? 0 : 1;
  }
  void holds(const std::string& what, bool fact) { near(what, fact ? 0 : 1, 0); }

  // `run` must throw cellsam::Error with this code and, if given, this word in its message.
  template <class Run>
  void throws(const std::string& what, const std::string& code, Run run, const std::string& word = "") {
    try {
      run();
    } catch (const Error& error) {
      if (error.code != code) std::fprintf(stderr, "%s: %s: %s\n", what.c_str(), error.code.c_str(), error.what());
      holds(what, error.code == code && std::string(error.what()).find(word) != std::string::npos);
      return;
    }
    holds(what, false);
  }

  int finish() const {
    std::printf("{\"case\":\"%s\",\"compared\":%d,\"failed\":%d}\n", name_.c_str(), compared_, failed_);
    return failed_ == 0 ? 0 : 1;
  }

 private:
  std::string name_;
  int compared_ = 0, failed_ = 0;
};

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
