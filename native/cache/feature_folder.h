// The folder in which the outputs of frozen backbones are kept: one lock for all processes that write there, and a limit on the
// disk space that its files take together.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>

#include "os/file.h"

namespace cellsam::cache {

class FeatureFolder {
 public:
  // Makes the folder if it can. `limit` in bytes; negative: a fifth of what the disk has free and the files take already, and
  // at most 64 GB.
  FeatureFolder(std::string path, std::int64_t limit);

  const std::string& path() const { return path_; }
  std::int64_t limit() const { return limit_; }
  std::string file_of(const std::string& key) const { return path_ + "/" + key + ".features"; }

  // The right to change the folder, which one thread of one process has at a time. Ends with the object or with the process.
  // Not held where nothing can be written (`why` says the reason), and when others have held it for ten seconds
  // (std::errc::timed_out).
  os::File lock(std::error_code& why) const;

  // For the holder of the lock: whether `bytes` more keep the limit. Files that nobody has open make room, the one first that
  // was not used for longest.
  bool make_room(std::int64_t bytes) const;

 private:
  std::string path_;
  std::int64_t limit_;
};

}  // namespace cellsam::cache
