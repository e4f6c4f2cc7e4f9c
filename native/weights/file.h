// Reads whole files into memory, and writes files so that a reader sees the old one or the new one and never a part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "os/atomic_file.h"
#include "weights/sha256.h"

namespace cellsam::weights {

// The bytes of a file, 64-byte aligned. It is no mapping: truncating a mapped checkpoint, which saving over it from Python
// does, would end this process with SIGBUS, or change tensors after their checksum was verified.
class FileBytes {
 public:
  // Throws ERR_CHECKPOINT_READ when the file does not exist, cannot be read, is no regular file, or is larger than 64 GiB.
  explicit FileBytes(const std::string& path);

  const std::string& path() const { return path_; }
  std::string_view view() const { return {data_.get(), size_}; }
  std::size_t size() const { return size_; }
  // With shared ownership, for tensors that refer to the bytes.
  const std::shared_ptr<char>& data() const { return data_; }

 private:
  std::string path_;
  std::shared_ptr<char> data_;
  std::size_t size_ = 0;
};

struct WrittenFile {
  std::string path;
  std::int64_t bytes = 0;
  std::string sha256;  // 64 hex digits over the whole file
};

// A checkpoint that is being written, by means of an os::AtomicFile.
class CheckpointFile {
 public:
  // Throws ERR_CHECKPOINT_WRITE when the folder cannot be written to.
  explicit CheckpointFile(const std::string& path);

  // Appends. Throws ERR_CHECKPOINT_WRITE, for example when the disk is full.
  void write(const void* data, std::size_t size);
  WrittenFile commit();

 private:
  os::AtomicFile file_;
  std::int64_t written_ = 0;
  Sha256 sha256_;
};

}  // namespace cellsam::weights
