// Features of one frozen backbone on disk, each under the hash of the image that it belongs to. Any number of processes may
// read and extend a file at the same time, and any of them may be killed at any moment.
//
// A slot is never used twice. It is taken as soon as the file reaches into it, and only its entry, which is written after the
// payload, makes it visible. So a killed writer leaves a slot without an entry, and a damaged payload is written again to
// another slot. feature_format.h describes the bytes.
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

// Throws nothing for what may go wrong with files: features that cannot be kept are computed each time, and take_notices() says
// why. Every method may be called from any thread.
class FeatureFile {
 public:
  // Opens the file of `key` (32 hex digits) for payloads of `payload_bytes`, and makes it if it is not there. `memory_limit`:
  // bytes of mapped payloads that stay in memory; 0: as many as the system allows.
  FeatureFile(const FeatureFolder& folder, const std::string& key, std::int64_t payload_bytes, std::int64_t memory_limit);
  FeatureFile(const FeatureFile&) = delete;
  FeatureFile& operator=(const FeatureFile&) = delete;

  // The payload of an image, or null. It is mapped read-only and stays valid as long as this object. Its checksum is verified
  // when this object returns it for the first time.
  const void* find(const ContentHash& hash);

  // Writes a payload, unless it is there already or the disk or the limit do not allow it.
  void add(const ContentHash& hash, const void* payload);

  // Messages for the user, each once.
  std::vector<std::string> take_notices();

 private:
  struct Slot {
    std::int64_t index = -1;
    std::uint64_t checksum = 0;
    bool verified = false;
  };

  bool open_file(bool locked, std::error_code& error);
  bool read_header();
  void write_header();
  void read_new_entries(bool locked);
  void read_block(std::int64_t group, bool locked);
  const char* map(std::int64_t slot);
  void limit_memory(std::int64_t slot);
  void report_damage();
  void stop_adding(const std::string& why);
  std::int64_t file_size() const;
  std::int64_t group_bytes() const;
  std::int64_t offset_of(std::int64_t slot) const;

  const FeatureFolder folder_;
  const std::string key_, path_;
  const std::int64_t payload_bytes_, slot_bytes_, memory_limit_;
  os::File file_;
  bool can_add_ = false, reported_damage_ = false;

  std::mutex mutex_;
  std::map<ContentHash, Slot> slots_;
  std::set<std::int64_t> damaged_slots_;
  std::int64_t known_size_ = 0;                             // of the file, when its entries were last read
  std::int64_t used_slots_ = 0;                             // up to the last one with an entry
  std::int64_t complete_groups_ = 0;                        // from the first on, groups in which every slot has an entry
  std::map<std::int64_t, std::deque<os::Mapping>> groups_;  // mappings of a group as it grew, the longest last
  std::set<std::int64_t> resident_;                         // slots in memory, for the memory limit
  std::deque<std::int64_t> read_order_;                     // the same, in the order in which they were read
  std::vector<std::string> notices_;
};

}  // namespace cellsam::cache
