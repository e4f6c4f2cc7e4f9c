#include "os/file.h"

#include <algorithm>

#include "os/path.h"

namespace cellsam::os {
namespace {

// Bytes of one system call. Linux transfers up to 2 GiB - 4 KiB, macOS 2 GiB - 1, Windows 4 GiB - 1.
constexpr std::int64_t kLargestPart = std::int64_t{1} << 30;

}  // namespace

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    close();
    handle_ = std::exchange(other.handle_, kNone);
  }
  return *this;
}

std::int64_t File::read(void* to, std::int64_t bytes, std::int64_t offset, std::error_code& error) const {
  error.clear();
  std::int64_t done = 0;
  while (done < bytes) {
    const auto read = read_part(static_cast<char*>(to) + done, std::min(bytes - done, kLargestPart), offset + done, error);
    if (read <= 0) break;
    done += read;
  }
  return done;
}

bool File::write(const void* from, std::int64_t bytes, std::int64_t offset, std::error_code& error) const {
  error.clear();
  std::int64_t done = 0;
  while (done < bytes) {
    const auto* next = static_cast<const char*>(from) + done;
    const auto written = write_part(next, std::min(bytes - done, kLargestPart), offset + done, error);
    if (written < 0) return false;
    done += written;
  }
  return true;
}

void remove_file(const std::string& path, std::error_code& error) { std::filesystem::remove(path_of(path), error); }

}  // namespace cellsam::os
