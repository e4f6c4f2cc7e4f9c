#include "cache/feature_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "cache/feature_format.h"

namespace cellsam::cache {
namespace {

std::int64_t round_up(std::int64_t bytes, std::int64_t to) { return (bytes + to - 1) / to * to; }

std::string gigabytes(std::int64_t bytes) {
  auto text = std::to_string(static_cast<double>(bytes) / 1e9);
  return text.substr(0, text.find('.') + 3) + " GB";
}

}  // namespace

FeatureFile::FeatureFile(const FeatureFolder& folder, const std::string& key, std::int64_t payload_bytes,
                         std::int64_t memory_limit)
    : folder_(folder),
      key_(key),
      path_(folder.file_of(key)),
      payload_bytes_(payload_bytes),
      slot_bytes_(round_up(payload_bytes, kBlockBytes)),
      memory_limit_(memory_limit) {
  std::error_code not_locked, not_opened;
  const auto lock = folder_.lock(not_locked);
  can_add_ = static_cast<bool>(lock);
  bool opened = open_file(can_add_, not_opened);
  if (!opened && file_ && lock) {
    // The header is damaged, so nothing after it can be trusted. Processes that have the file open keep it as it is.
    report_damage();
    file_.close();
    os::remove_file(path_, not_opened);
    opened = !not_opened && open_file(true, not_opened);
  }
  if (!opened) {
    can_add_ = false;
    file_.close();
    notices_.push_back("features of the frozen backbone cannot be kept in " + folder_.path() + " (" +
                       (lock ? not_opened : not_locked).message() + "): they are computed each time");
    return;
  }
  if (!lock) {
    notices_.push_back("features of the frozen backbone cannot be added in " + folder_.path() + " (" + not_locked.message() +
                       "): those that are not there are computed each time");
  }
  read_new_entries(static_cast<bool>(lock));
}

// Returns false also for a file with a damaged header, and leaves it open then.
bool FeatureFile::open_file(bool locked, std::error_code& error) {
  file_ = os::File(path_, locked ? os::Access::update : os::Access::read, error);
  if (!file_) return false;
  // A shared lock marks the file as in use: see remove_unused() of the folder.
  std::error_code ignored;
  file_.try_lock(os::Lock::shared, ignored);
  if (locked && file_size() == 0) write_header();
  if (file_size() == 0) return true;  // and will stay empty: nothing can be added
  if (locked) file_.touch();          // the folder removes the file first that was not used for longest
  return read_header();
}

void FeatureFile::write_header() {
  FileHeader header;
  header.payload_bytes = payload_bytes_;
  std::memcpy(header.key.data(), key_.data(), std::min(key_.size(), header.key.size()));
  header.checksum = checksum_of(header);
  if (!folder_.reserve(kBlockBytes + slot_bytes_))
    return stop_adding("the limit of " + gigabytes(folder_.limit()) + " is reached");
  std::error_code error, ignored;
  if (file_.write(&header, sizeof header, 0, error)) return;
  if (file_.resize(0, ignored)) stop_adding(error.message());
}

bool FeatureFile::read_header() {
  FileHeader header;
  std::error_code ignored;
  if (file_.read(&header, sizeof header, 0, ignored) != sizeof header) return false;
  return header.magic == FileHeader{}.magic && header.version == FileHeader{}.version &&
         header.checksum == checksum_of(header) && header.payload_bytes == payload_bytes_ &&
         std::memcmp(header.key.data(), key_.data(), std::min(key_.size(), header.key.size())) == 0;
}

std::int64_t FeatureFile::file_size() const {
  std::error_code ignored;
  return file_.size(ignored);
}

std::int64_t FeatureFile::group_bytes() const {
  return round_up(kBlockBytes + kEntriesPerBlock * slot_bytes_, os::Mapping::kAlignment);
}

std::int64_t FeatureFile::offset_of(std::int64_t slot) const {
  return slot / kEntriesPerBlock * group_bytes() + kBlockBytes + slot % kEntriesPerBlock * slot_bytes_;
}

// Reads what other processes have added since. locked: this one holds the folder's lock, so that nobody writes now.
void FeatureFile::read_new_entries(bool locked) {
  const auto size = file_size();
  if (size == known_size_ && !locked) return;
  known_size_ = size;
  for (auto group = complete_groups_; group * group_bytes() < size; ++group) read_block(group, locked);
}

void FeatureFile::read_block(std::int64_t group, bool locked) {
  std::array<char, kBlockBytes> block{};
  std::error_code ignored;
  if (file_.read(block.data(), kBlockBytes, group * group_bytes(), ignored) <= 0) return;
  bool complete = true;
  for (std::int64_t i = 0; i < kEntriesPerBlock; ++i) {
    IndexEntry entry;
    std::memcpy(&entry, block.data() + sizeof(FileHeader) + i * sizeof(IndexEntry), sizeof entry);
    const auto slot = group * kEntriesPerBlock + i;
    if (!entry.is_empty()) used_slots_ = std::max(used_slots_, slot + 1);
    if (entry.is_empty()) {
      complete = false;
    } else if (damaged_slots_.contains(slot)) {
      continue;
    } else if (entry.checksum != checksum_of(entry) || entry.slot != slot) {
      // Damaged, or half written by a process at this moment.
      complete = complete && locked;
      if (locked) report_damage();
    } else {
      // A later entry replaces one whose payload was found to be damaged.
      auto& known = slots_[entry.hash];
      if (known.index < slot) known = {slot, entry.payload_checksum};
    }
  }
  if (complete && group == complete_groups_) ++complete_groups_;
}

const void* FeatureFile::find(const ContentHash& hash) {
  std::unique_lock lock(mutex_);
  if (!file_) return nullptr;
  if (!slots_.contains(hash)) read_new_entries(/*locked=*/false);
  auto found = slots_.find(hash);
  if (found == slots_.end()) return nullptr;
  const auto slot = found->second;
  // Reading a mapping past the end of a truncated file would end the process.
  const bool whole = slot.verified || offset_of(slot.index) + payload_bytes_ <= file_size();
  const auto* payload = whole ? map(slot.index) : nullptr;
  if (payload != nullptr && !slot.verified) {
    lock.unlock();  // other threads can go on meanwhile
    const bool intact = checksum(payload, static_cast<std::size_t>(payload_bytes_)) == slot.checksum;
    lock.lock();
    if (!intact) payload = nullptr;
  }
  found = slots_.find(hash);
  if (found == slots_.end() || found->second.index != slot.index) return payload;
  if (payload != nullptr) {
    found->second.verified = true;
    limit_memory(slot.index);
  } else {
    slots_.erase(found);
    damaged_slots_.insert(slot.index);
    report_damage();
  }
  return payload;
}

const char* FeatureFile::map(std::int64_t slot) {
  const auto group = slot / kEntriesPerBlock, start = group * group_bytes(), at = offset_of(slot) - start;
  auto& mapped = groups_[group];
  if (mapped.empty() || mapped.back().bytes() < at + payload_bytes_) {
    // The file has grown since. The old mapping stays: tensors refer to it.
    std::error_code ignored;
    os::Mapping longer(file_, start, group_bytes(), ignored);
    if (longer.bytes() < at + payload_bytes_) return nullptr;
    mapped.push_back(std::move(longer));
  }
  return mapped.back().data() + at;
}

// Notes that a slot was read, and gives the memory of the oldest ones back to the system.
void FeatureFile::limit_memory(std::int64_t slot) {
  if (memory_limit_ <= 0 || !resident_.insert(slot).second) return;
  read_order_.push_back(slot);
  while (read_order_.size() > 1 && static_cast<std::int64_t>(read_order_.size()) * slot_bytes_ > memory_limit_) {
    const auto oldest = read_order_.front(), group = oldest / kEntriesPerBlock;
    read_order_.pop_front();
    resident_.erase(oldest);
    // A tensor that still refers to it reads it from the file again.
    for (const auto& mapping : groups_[group]) mapping.forget(offset_of(oldest) - group * group_bytes(), payload_bytes_);
    file_.forget(offset_of(oldest), slot_bytes_);
  }
}

void FeatureFile::add(const ContentHash& hash, const void* payload) {
  std::lock_guard guard(mutex_);
  if (!can_add_) return;
  std::error_code error;
  const auto lock = folder_.lock(error);
  if (!lock) {
    if (error != std::errc::timed_out) stop_adding(error.message());
    return;
  }
  read_new_entries(/*locked=*/true);
  if (slots_.contains(hash)) return;  // another process has added it
  if (!folder_.reserve(slot_bytes_)) return stop_adding("the limit of " + gigabytes(folder_.limit()) + " is reached");
  const auto size = file_size();
  // The first slot behind the end of the file, or, if the file was truncated, behind the last entry.
  std::int64_t slot = std::max(used_slots_, size / group_bytes() * kEntriesPerBlock);
  while (offset_of(slot) < size) ++slot;
  IndexEntry entry;
  entry.hash = hash;
  entry.slot = slot;
  entry.payload_checksum = checksum(payload, static_cast<std::size_t>(payload_bytes_));
  entry.checksum = checksum_of(entry);
  const auto entry_offset = slot / kEntriesPerBlock * group_bytes() + static_cast<std::int64_t>(sizeof(FileHeader)) +
                            slot % kEntriesPerBlock * static_cast<std::int64_t>(sizeof(IndexEntry));
  if (!file_.write(payload, payload_bytes_, offset_of(slot), error) ||
      !file_.write(&entry, sizeof entry, entry_offset, error)) {
    std::error_code ignored;
    if (!file_.resize(size, ignored)) known_size_ = 0;  // the slot stays taken, without an entry
    return stop_adding(error.message());
  }
  known_size_ = file_size();
  slots_[hash] = {slot, entry.payload_checksum};
  used_slots_ = slot + 1;
}

void FeatureFile::report_damage() {
  if (std::exchange(reported_damage_, true)) return;
  notices_.push_back("features kept in " + path_ + " are damaged; they are computed again");
}

void FeatureFile::stop_adding(const std::string& why) {
  can_add_ = false;
  notices_.push_back("no more features of the frozen backbone are kept in " + folder_.path() + " (" + why +
                     "): the others are computed each time");
}

std::vector<std::string> FeatureFile::take_notices() {
  std::lock_guard lock(mutex_);
  return std::exchange(notices_, {});
}

}  // namespace cellsam::cache
