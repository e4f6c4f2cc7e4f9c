// The outputs of one frozen backbone on disk, each under the hash of the picture that it belongs to. Any number of processes
// read and extend a file at the same time, and any of them may be killed at any moment.
//
// Layout (little endian): groups of one index block and 63 payloads. The block (4096 bytes) is a head and 63 entries; the head
// of the first block describes the file. A payload has its place, and a size that is the same for all of the file. A place is
// never used twice: it counts as taken when the file reaches into it, and only an entry, which is written after the payload,
// makes it visible. What a killed writer leaves is a place without an entry, and damage is answered by another place.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "cache/feature_folder.h"
#include "os/mapping.h"

namespace cellsam::cache {

// Never throws for what may go wrong with files: what cannot be kept is computed, and take_notices() says why. Every method may
// be called from any thread.
class FeatureFile {
 public:
  // The file of `key` (32 hex digits) for payloads of `bytes` bytes; made when it is not there. `memory_limit`: how many bytes
  // of mapped payloads stay in memory; 0: as many as the system leaves there.
  FeatureFile(const FeatureFolder& folder, const std::string& key, std::int64_t bytes, std::int64_t memory_limit);
  FeatureFile(const FeatureFile&) = delete;
  FeatureFile& operator=(const FeatureFile&) = delete;

  // The payload of a picture, mapped read-only and as long as this object there, or null. Its checksum was verified when this
  // object first answered it.
  const void* find(const ContentHash& hash);

  // Keeps a payload, unless it is there already or the disk or the limit do not allow it.
  void add(const ContentHash& hash, const void* payload);

  // What people should know, each once.
  std::vector<std::string> take_notices();

 private:
  struct Place {
    std::int64_t number = -1;
    std::uint64_t checksum = 0;
    bool verified = false;
  };

  bool open_file(bool locked, std::error_code& error);
  bool read_head();
  void write_head();
  void refresh(bool locked);
  void read_entries(std::int64_t group, bool locked);
  const char* map(std::int64_t place);
  void hold(std::int64_t place);
  void damaged();
  void stop_adding(const std::string& why);
  std::int64_t file_size() const;
  std::int64_t group_bytes() const;
  std::int64_t offset_of(std::int64_t place) const;

  const FeatureFolder folder_;
  const std::string key_, path_;
  const std::int64_t bytes_, pitch_, memory_limit_;
  os::File file_;
  bool adds_ = false, told_damage_ = false;

  std::mutex mutex_;
  std::map<ContentHash, Place> places_;
  std::set<std::int64_t> damaged_places_;
  std::int64_t known_size_ = 0;                             // of the file, when its entries were last read
  std::int64_t used_ = 0;                                   // places up to the last one with an entry
  std::int64_t settled_groups_ = 0;                         // groups from the first on in which every place has an entry
  std::map<std::int64_t, std::deque<os::Mapping>> groups_;  // what was mapped of a group as it grew, the longest last
  std::set<std::int64_t> resident_;                         // places that were read lately, for the memory limit
  std::deque<std::int64_t> read_order_;
  std::vector<std::string> notices_;
};

}  // namespace cellsam::cache
