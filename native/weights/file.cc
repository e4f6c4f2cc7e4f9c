#include "weights/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/fresh_file.h"
#include "engine.h"

namespace cellsam::weights {
namespace {

constexpr std::size_t kLargestFile = std::size_t{64} << 30;
constexpr std::size_t kLargestTransfer = std::size_t{1} << 30;  // Linux moves at most 2 GiB - 4 KiB a call

// The number of an open file, closed on every way out.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : number_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

[[noreturn]] void unreadable(const std::string& path, const std::string& why) {
  throw Error("ERR_CHECKPOINT_READ", "cannot read " + path + ": " + why, {{"path", path}});
}

// Reads up to `size` bytes; fewer only at the end of the file.
std::size_t read_some(int descriptor, char* to, std::size_t size, const std::string& path) {
  std::size_t done = 0;
  while (done < size) {
    const auto got = ::read(descriptor, to + done, std::min(size - done, kLargestTransfer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) unreadable(path, std::strerror(errno));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

// O_NONBLOCK: opening a pipe that nobody writes to must not wait for ever. It means nothing for regular files.
constexpr int kReadFlags = O_RDONLY | O_NONBLOCK;

std::size_t regular_size(const Descriptor& file, const std::string& path) {
  struct stat info {};
  if (file.number() < 0 || ::fstat(file.number(), &info) != 0) unreadable(path, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) unreadable(path, "it is not a regular file");
  return static_cast<std::size_t>(info.st_size);
}

}  // namespace

FileBytes::FileBytes(const std::string& path) : path_(path) {
  const Descriptor file(path, kReadFlags);
  size_ = regular_size(file, path);
  if (size_ > kLargestFile) unreadable(path, "it is larger than 64 GiB, which no checkpoint is");
  auto* bytes = static_cast<char*>(std::aligned_alloc(64, (size_ + 64) / 64 * 64));
  if (bytes == nullptr) throw Error("ERR_OUT_OF_MEMORY", path + ": no memory for " + std::to_string(size_) + " bytes");
  data_ = std::shared_ptr<char>(bytes, std::free);
  if (read_some(file.number(), bytes, size_, path) != size_) unreadable(path, "it became shorter while it was read");
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  auto fresh = create_beside(path_);
  temporary_ = std::move(fresh.path);
  descriptor_ = fresh.descriptor;
  if (descriptor_ < 0) fail("create");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const std::string& step) const {
  throw Error("ERR_CHECKPOINT_WRITE", "cannot write " + path_ + " (" + step + "): " + std::strerror(errno), {{"path", path_}});
}

void AtomicFile::write(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const char*>(data);
  sha256_.update(data, size);
  written_ += static_cast<std::int64_t>(size);
  while (size > 0) {
    const auto done = ::write(descriptor_, bytes, std::min(size, kLargestTransfer));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("write");
    bytes += done, size -= static_cast<std::size_t>(done);
  }
}

WrittenFile AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail("fsync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename");
  ::close(std::exchange(descriptor_, -1));
  // The new name itself is only durable once the folder is. Some network file systems cannot sync one; the file is there.
  const auto folder = std::filesystem::path(path_).parent_path();
  const Descriptor directory(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
  if (directory.number() >= 0 && ::fsync(directory.number()) != 0 && errno == EIO) fail("fsync of the folder");
  return {path_, written_, sha256_.hex()};
}

}  // namespace cellsam::weights
