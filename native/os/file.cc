#include "os/file.h"

#include "os/path.h"

namespace cellsam::os {

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    handle_ = std::exchange(other.handle_, kNone);
  }
  return *this;
}

void remove_file(const std::string& path, std::error_code& error) { std::filesystem::remove(path_of(path), error); }

}  // namespace cellsam::os
