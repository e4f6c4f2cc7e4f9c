// A file that appears under its name only when it is complete: written beside it under another name, brought down to the disk,
// renamed. Without commit() that file is removed and an existing one stays as it was.
#pragma once

#include <cstdint>
#include <string>

#include "os/file.h"

namespace cellsam::os {

// What fails is thrown as a std::system_error whose text begins with the step ("create", "write", "sync", "rename").
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }
  void write(const void* data, std::int64_t bytes, std::int64_t offset);
  // Nothing can be written after it.
  void commit();
  bool committed() const { return !file_; }

 private:
  std::string path_, temporary_;
  File file_;
};

}  // namespace cellsam::os
