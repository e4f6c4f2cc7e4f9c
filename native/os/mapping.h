// A part of a file as read-only memory, which all processes that map it share.
#pragma once

#include <cstdint>
#include <system_error>
#include <utility>

#include "os/file.h"

namespace cellsam::os {

class Mapping {
 public:
  // A mapping must begin at a multiple of this, which is the largest granularity of the systems.
  static constexpr std::int64_t kAlignment = 1 << 16;

  Mapping() = default;
  // Maps `bytes` from `offset` on, or as many as the file has now. The mapping stays when the file is closed. A mapped file
  // must not become shorter: on POSIX reading there ends the process (SIGBUS), and Windows does not allow it.
  Mapping(const File& file, std::int64_t offset, std::int64_t bytes, std::error_code& error);
  ~Mapping();
  Mapping(Mapping&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  // Null without a mapping.
  const char* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

  // Gives the memory of whole pages in this range back to the system. Reading there again reads the file.
  void forget(std::int64_t offset, std::int64_t bytes) const;

 private:
  char* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace cellsam::os
