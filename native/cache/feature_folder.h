// The folder of feature files (feature_file.h): one lock for all processes that write there, and a limit on the disk space that
// its files take together.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>

#include "os/file.h"

namespace cellsam::cache {

class FeatureFolder {
 public:
  // Makes the folder if it can. limit: in bytes; negative: a fifth of what is free on the disk or taken by feature files
  // already, and at most 64 GB.
  FeatureFolder(std::string path, std::int64_t limit);

  const std::string& path() const { return path_; }
  std::int64_t limit() const { return limit_; }
  std::string file_of(const std::string& key) const { return path_ + "/" + key + ".features"; }

  // Locks the folder for changes, against all other threads and processes, until the returned file is destroyed or the process
  // ends. Returns no file, and the reason in `why`, where nothing can be written, and after ten seconds in which others held
  // the lock (std::errc::timed_out).
  os::File lock(std::error_code& why) const;

  // Returns whether `bytes` more stay within the limit, after removing files that nobody has open, least recently used first,
  // if need be. Only with the lock.
  bool reserve(std::int64_t bytes) const;

 private:
  std::string path_;
  std::int64_t limit_;
};

}  // namespace cellsam::cache
