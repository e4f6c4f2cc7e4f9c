// Whole files, in and out: read into memory of our own, written so that a reader sees the old file or the new one and
// never a part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "os/atomic_file.h"
#include "weights/sha256.h"

namespace cellsam::weights {

// A file's bytes, 64-byte aligned. Not a mapping of the file: somebody who truncates a mapped checkpoint (which saving over
// it from Python does) would kill this process with SIGBUS, or change tensors after their checksum was checked.
class FileBytes {
 public:
  // Throws ERR_CHECKPOINT_READ when the file is absent, unreadable, no regular file, or above 64 GiB.
  explicit FileBytes(const std::string& path);

  const std::string& path() const { return path_; }
  std::string_view view() const { return {data_.get(), size_}; }
  std::size_t size() const { return size_; }
  // Shared ownership, for tensors that point into the bytes.
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

// A checkpoint that is being written, as an os::AtomicFile: under its name there is the old one or the new one, whole.
class CheckpointFile {
 public:
  // Throws ERR_CHECKPOINT_WRITE when the folder cannot be written to.
  explicit CheckpointFile(const std::string& path);

  // Appends. Throws ERR_CHECKPOINT_WRITE, e.g. when the disk is full.
  void write(const void* data, std::size_t size);
  WrittenFile commit();

 private:
  os::AtomicFile file_;
  std::int64_t written_ = 0;
  Sha256 sha256_;
};

}  // namespace cellsam::weights
