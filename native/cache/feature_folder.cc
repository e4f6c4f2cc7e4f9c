#include "cache/feature_folder.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "os/path.h"

namespace cellsam::cache {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLargestDefaultLimit = 64'000'000'000;  // bytes
constexpr auto kLockTimeout = std::chrono::seconds(10);        // a training step must not wait for a stopped process for ever

struct StoredFile {
  fs::file_time_type used;
  std::int64_t bytes;
  fs::path path;
};

std::vector<StoredFile> files_in(const std::string& folder) {
  std::vector<StoredFile> files;
  std::error_code error;
  for (fs::directory_iterator entry(os::path_of(folder), error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() != ".features") continue;
    std::error_code gone;  // another process may remove it at this moment
    const auto bytes = entry->file_size(gone);
    const auto used = gone ? fs::file_time_type() : entry->last_write_time(gone);
    if (!gone) files.push_back({used, static_cast<std::int64_t>(bytes), entry->path()});
  }
  return files;
}

std::int64_t total(const std::vector<StoredFile>& files) {
  std::int64_t bytes = 0;
  for (const auto& file : files) bytes += file.bytes;
  return bytes;
}

// A process holds a shared lock on each file that it has open, so an exclusive lock is granted only where there is none.
bool remove_unused(const fs::path& path) {
  std::error_code error;
  const os::File file(os::text_of(path), os::Access::read, error);
  return file && file.try_lock(os::Lock::exclusive, error) && fs::remove(path, error);
}

}  // namespace

FeatureFolder::FeatureFolder(std::string path, std::int64_t limit) : path_(std::move(path)), limit_(limit) {
  std::error_code error;
  fs::create_directories(os::path_of(path_), error);  // an error shows when the first file cannot be opened
  if (limit_ >= 0) return;
  const auto space = fs::space(os::path_of(path_), error);
  limit_ =
      error ? 0 : std::min(kLargestDefaultLimit, (static_cast<std::int64_t>(space.available) + total(files_in(path_))) / 5);
}

os::File FeatureFolder::lock(std::error_code& why) const {
  os::File file(path_ + "/.lock", os::Access::update, why);
  const auto deadline = std::chrono::steady_clock::now() + kLockTimeout;
  while (file && !file.try_lock(os::Lock::exclusive, why)) {
    if (!why && std::chrono::steady_clock::now() > deadline) why = std::make_error_code(std::errc::timed_out);
    if (why) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return file;
}

bool FeatureFolder::reserve(std::int64_t bytes) const {
  auto files = files_in(path_);
  auto taken = total(files);
  if (taken + bytes <= limit_) return true;
  std::sort(files.begin(), files.end(), [](const StoredFile& a, const StoredFile& b) { return a.used < b.used; });
  for (const auto& file : files) {
    if (!remove_unused(file.path)) continue;
    taken -= file.bytes;
    if (taken + bytes <= limit_) return true;
  }
  return false;
}

}  // namespace cellsam::cache
