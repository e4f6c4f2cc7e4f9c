// A file that gets its name only when it is complete. It is written beside that under a temporary name, flushed to the disk,
// and then renamed. Without commit() the temporary file is removed, and an existing file stays as it was.
#pragma once

#include <cstdint>
#include <string>

#include "os/file.h"

namespace cellsam::os {

// Throws std::system_error, whose text begins with what failed: "create", "write", "sync" or "rename".
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }
  void write(const void* data, std::int64_t bytes, std::int64_t offset);
  // Gives the file its name. Nothing can be written afterwards.
  void commit();
  bool committed() const { return !file_; }

 private:
  std::string path_, temporary_;
  File file_;
};

}  // namespace cellsam::os
