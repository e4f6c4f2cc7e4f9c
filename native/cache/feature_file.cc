#include "cache/feature_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>

namespace cellsam::cache {
namespace {

static_assert(std::endian::native == std::endian::little, "feature files are little endian and mapped as they are");

constexpr std::int64_t kBlock = 4096, kEntries = 63;

struct Head {
  std::array<char, 8> magic{'C', 'E', 'L', 'L', 'F', 'E', 'A', 'T'};
  std::uint32_t version = 1;
  std::uint32_t reserved = 0;
  std::int64_t bytes = 0;
  std::array<char, 32> key{};
  std::uint64_t checksum = 0;  // of the 56 bytes above
};
static_assert(sizeof(Head) == 64);

struct Entry {
  ContentHash hash;
  std::int64_t place = 0;
  std::uint64_t payload = 0;  // checksum
  std::array<std::uint64_t, 3> reserved{};
  std::uint64_t checksum = 0;  // of the 56 bytes above
};
static_assert(sizeof(Entry) == 64 && sizeof(Head) + kEntries * sizeof(Entry) == kBlock);

template <class Record>
std::uint64_t own_checksum(const Record& record) {
  return checksum(&record, offsetof(Record, checksum));
}

std::int64_t round_up(std::int64_t bytes, std::int64_t to) { return (bytes + to - 1) / to * to; }

bool is_empty(const Entry& entry) {
  static const Entry kNone{};
  return std::memcmp(&entry, &kNone, sizeof entry) == 0;
}

std::string gigabytes(std::int64_t bytes) {
  auto text = std::to_string(static_cast<double>(bytes) / 1e9);
  return text.substr(0, text.find('.') + 3) + " GB";
}

}  // namespace

FeatureFile::FeatureFile(const FeatureFolder& folder, const std::string& key, std::int64_t bytes, std::int64_t memory_limit)
    : folder_(folder),
      key_(key),
      path_(folder.file_of(key)),
      bytes_(bytes),
      pitch_(round_up(bytes, kBlock)),
      memory_limit_(memory_limit) {
  std::error_code not_locked, not_opened;
  const auto lock = folder_.lock(not_locked);
  adds_ = static_cast<bool>(lock);
  bool opened = open_file(adds_, not_opened);
  if (!opened && file_ && lock) {
    // Damaged where nothing after it can be trusted. Who has it open keeps what was there.
    damaged();
    file_.close();
    os::remove_file(path_, not_opened);
    opened = !not_opened && open_file(true, not_opened);
  }
  if (!opened) {
    adds_ = false;
    file_.close();
    notices_.push_back("features of the frozen backbone cannot be kept in " + folder_.path() + " (" +
                       (lock ? not_opened : not_locked).message() + "): they are computed each time");
    return;
  }
  if (!lock) {
    notices_.push_back("features of the frozen backbone cannot be added in " + folder_.path() + " (" + not_locked.message() +
                       "): those that are not there are computed each time");
  }
  refresh(static_cast<bool>(lock));
}

// False also for a file whose head is damaged, which then is open.
bool FeatureFile::open_file(bool locked, std::error_code& error) {
  file_ = os::File(path_, locked ? os::Access::update : os::Access::read, error);
  if (!file_) return false;
  // Says that the file is in use. With the folder's lock it cannot be just about to be removed.
  std::error_code ignored;
  file_.try_lock(os::Lock::shared, ignored);
  if (locked && file_size() == 0) write_head();
  if (file_size() == 0) return true;  // and stays so: nothing can be added
  if (locked) file_.touch();          // used now: see FeatureFolder::make_room
  return read_head();
}

void FeatureFile::write_head() {
  Head head;
  head.bytes = bytes_;
  std::memcpy(head.key.data(), key_.data(), std::min(key_.size(), head.key.size()));
  head.checksum = own_checksum(head);
  if (!folder_.make_room(kBlock + pitch_)) return stop_adding("the limit of " + gigabytes(folder_.limit()) + " is reached");
  std::error_code error, ignored;
  if (file_.write(&head, sizeof head, 0, error)) return;
  if (file_.resize(0, ignored)) stop_adding(error.message());
}

bool FeatureFile::read_head() {
  Head head;
  std::error_code ignored;
  if (file_.read(&head, sizeof head, 0, ignored) != sizeof head) return false;
  return head.magic == Head{}.magic && head.version == Head{}.version && head.checksum == own_checksum(head) &&
         head.bytes == bytes_ && std::memcmp(head.key.data(), key_.data(), std::min(key_.size(), head.key.size())) == 0;
}

std::int64_t FeatureFile::file_size() const {
  std::error_code ignored;
  return file_.size(ignored);
}

std::int64_t FeatureFile::group_bytes() const { return round_up(kBlock + kEntries * pitch_, os::Mapping::kAlignment); }

std::int64_t FeatureFile::offset_of(std::int64_t place) const {
  return place / kEntries * group_bytes() + kBlock + place % kEntries * pitch_;
}

// What other processes have added since. `locked`: nobody is writing now.
void FeatureFile::refresh(bool locked) {
  const auto size = file_size();
  if (size == known_size_ && !locked) return;
  known_size_ = size;
  for (auto group = settled_groups_; group * group_bytes() < size; ++group) read_entries(group, locked);
}

void FeatureFile::read_entries(std::int64_t group, bool locked) {
  std::array<char, kBlock> block{};
  std::error_code ignored;
  if (file_.read(block.data(), kBlock, group * group_bytes(), ignored) <= 0) return;
  bool complete = true;
  for (std::int64_t i = 0; i < kEntries; ++i) {
    Entry entry;
    std::memcpy(&entry, block.data() + sizeof(Head) + i * sizeof(Entry), sizeof entry);
    const auto place = group * kEntries + i;
    if (!is_empty(entry)) used_ = std::max(used_, place + 1);
    if (is_empty(entry)) {
      complete = false;
    } else if (damaged_places_.contains(place)) {
      continue;
    } else if (entry.checksum != own_checksum(entry) || entry.place != place) {
      // Or half written, at this very moment.
      complete = complete && locked;
      if (locked) damaged();
    } else {
      // The last one counts: it replaces what was found to be damaged.
      auto& known = places_[entry.hash];
      if (known.number < place) known = {place, entry.payload};
    }
  }
  if (complete && group == settled_groups_) ++settled_groups_;
}

const void* FeatureFile::find(const ContentHash& hash) {
  std::unique_lock lock(mutex_);
  if (!file_) return nullptr;
  if (!places_.contains(hash)) refresh(/*locked=*/false);
  auto found = places_.find(hash);
  if (found == places_.end()) return nullptr;
  const auto place = found->second;
  // Reading past the end of a file that was cut off would end the process.
  const bool whole = place.verified || offset_of(place.number) + bytes_ <= file_size();
  const auto* payload = whole ? map(place.number) : nullptr;
  if (payload != nullptr && !place.verified) {
    lock.unlock();  // the other thread may go on meanwhile
    const bool intact = checksum(payload, static_cast<std::size_t>(bytes_)) == place.checksum;
    lock.lock();
    if (!intact) payload = nullptr;
  }
  found = places_.find(hash);
  if (found == places_.end() || found->second.number != place.number) return payload;
  if (payload != nullptr) {
    found->second.verified = true;
    hold(place.number);
  } else {
    places_.erase(found);
    damaged_places_.insert(place.number);
    damaged();
  }
  return payload;
}

const char* FeatureFile::map(std::int64_t place) {
  const auto group = place / kEntries, start = group * group_bytes(), at = offset_of(place) - start;
  auto& mapped = groups_[group];
  if (mapped.empty() || mapped.back().bytes() < at + bytes_) {
    // The file has grown since. What was mapped stays where it is: tensors show it.
    std::error_code ignored;
    os::Mapping longer(file_, start, group_bytes(), ignored);
    if (longer.bytes() < at + bytes_) return nullptr;
    mapped.push_back(std::move(longer));
  }
  return mapped.back().data() + at;
}

// Counts a place that was read, and gives back the memory of those that were read before it.
void FeatureFile::hold(std::int64_t place) {
  if (memory_limit_ <= 0 || !resident_.insert(place).second) return;
  read_order_.push_back(place);
  while (read_order_.size() > 1 && static_cast<std::int64_t>(read_order_.size()) * pitch_ > memory_limit_) {
    const auto oldest = read_order_.front(), group = oldest / kEntries;
    read_order_.pop_front();
    resident_.erase(oldest);
    // A tensor that still shows it reads it again.
    for (const auto& mapping : groups_[group]) mapping.forget(offset_of(oldest) - group * group_bytes(), bytes_);
    file_.forget(offset_of(oldest), pitch_);
  }
}

void FeatureFile::add(const ContentHash& hash, const void* payload) {
  std::lock_guard guard(mutex_);
  if (!adds_) return;
  std::error_code error;
  const auto lock = folder_.lock(error);
  if (!lock) {
    if (error != std::errc::timed_out) stop_adding(error.message());
    return;
  }
  refresh(/*locked=*/true);
  if (places_.contains(hash)) return;  // another process was faster
  if (!folder_.make_room(pitch_)) return stop_adding("the limit of " + gigabytes(folder_.limit()) + " is reached");
  const auto size = file_size();
  std::int64_t place = std::max(used_, size / group_bytes() * kEntries);  // the former is more for a file that was cut off
  while (offset_of(place) < size) ++place;
  Entry entry;
  entry.hash = hash;
  entry.place = place;
  entry.payload = checksum(payload, static_cast<std::size_t>(bytes_));
  entry.checksum = own_checksum(entry);
  const auto entry_offset = place / kEntries * group_bytes() + static_cast<std::int64_t>(sizeof(Head)) +
                            place % kEntries * static_cast<std::int64_t>(sizeof(Entry));
  if (!file_.write(payload, bytes_, offset_of(place), error) || !file_.write(&entry, sizeof entry, entry_offset, error)) {
    std::error_code ignored;
    if (!file_.resize(size, ignored)) known_size_ = 0;  // the place stays taken and empty
    return stop_adding(error.message());
  }
  known_size_ = file_size();
  places_[hash] = {place, entry.payload};
  used_ = place + 1;
}

void FeatureFile::damaged() {
  if (std::exchange(told_damage_, true)) return;
  notices_.push_back("features kept in " + path_ + " are damaged; they are computed again");
}

void FeatureFile::stop_adding(const std::string& why) {
  adds_ = false;
  notices_.push_back("no more features of the frozen backbone are kept in " + folder_.path() + " (" + why +
                     "): the others are computed each time");
}

std::vector<std::string> FeatureFile::take_notices() {
  std::lock_guard lock(mutex_);
  return std::exchange(notices_, {});
}

}  // namespace cellsam::cache
