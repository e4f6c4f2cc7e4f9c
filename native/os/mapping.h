// A part of a file as read-only memory, which every process that maps it shares.
#pragma once

#include <cstdint>
#include <system_error>
#include <utility>

#include "os/file.h"

namespace cellsam::os {

class Mapping {
 public:
  // Where a mapping may begin: a multiple of this, the largest that any of the systems asks for.
  static constexpr std::int64_t kAlignment = 1 << 16;

  Mapping() = default;
  // At most `bytes` from `offset` on, as far as the file reaches now. It stays when the file object is closed. A file must not
  // become shorter where somebody reads it: POSIX ends the reader's process (SIGBUS), and Windows refuses.
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

  // Gives back the memory of whole pages in this range. Whoever reads there gets the same bytes, from the file.
  void forget(std::int64_t offset, std::int64_t bytes) const;

 private:
  char* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace cellsam::os
