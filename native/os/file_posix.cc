#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "os/file.h"
#include "os/path.h"

namespace cellsam::os {
namespace {

int descriptor_of(const File& file) { return static_cast<int>(file.handle()); }

// Whether a system call succeeded; a result below 0 is a failure, which errno explains.
bool succeeded(std::int64_t result, std::error_code& error) {
  if (result >= 0) {
    error.clear();
  } else {
    error = {errno, std::generic_category()};
  }
  return result >= 0;
}

// O_NONBLOCK: opening a pipe without a writer must not wait for one. It has no effect on regular files.
constexpr int flags_of(Access access) {
  switch (access) {
    case Access::read: return O_RDONLY | O_NONBLOCK | O_CLOEXEC;
    case Access::update: return O_RDWR | O_CREAT | O_CLOEXEC;
    default: return O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  }
}

int sync_descriptor(int descriptor) {
#if defined(__APPLE__)
  if (fcntl(descriptor, F_FULLFSYNC) == 0) return 0;  // on macOS fsync leaves the data in the drive's cache
#endif
  return fsync(descriptor);
}

}  // namespace

File::File(const std::string& path, Access access, std::error_code& error)
    : handle_(::open(path.c_str(), flags_of(access), 0666)) {
  succeeded(handle_, error);
}

void File::close() {
  if (handle_ != kNone) ::close(static_cast<int>(std::exchange(handle_, kNone)));
}

bool File::is_regular() const {
  struct stat status {};
  return fstat(descriptor_of(*this), &status) == 0 && S_ISREG(status.st_mode);
}

std::int64_t File::size(std::error_code& error) const {
  struct stat status {};
  return succeeded(fstat(descriptor_of(*this), &status), error) ? static_cast<std::int64_t>(status.st_size) : 0;
}

std::int64_t File::read_part(void* to, std::int64_t bytes, std::int64_t offset, std::error_code& error) const {
  std::int64_t read;
  do {
    read = pread(descriptor_of(*this), to, static_cast<std::size_t>(bytes), offset);
  } while (read < 0 && errno == EINTR);
  succeeded(read, error);
  return read;
}

std::int64_t File::write_part(const void* from, std::int64_t bytes, std::int64_t offset, std::error_code& error) const {
  std::int64_t written;
  do {
    written = pwrite(descriptor_of(*this), from, static_cast<std::size_t>(bytes), offset);
  } while (written < 0 && errno == EINTR);
  succeeded(written, error);
  return written;
}

bool File::resize(std::int64_t bytes, std::error_code& error) const {
  return succeeded(ftruncate(descriptor_of(*this), bytes), error);
}

bool File::sync(std::error_code& error) const { return succeeded(sync_descriptor(descriptor_of(*this)), error); }

void File::touch() const { futimens(descriptor_of(*this), nullptr); }

void File::forget(std::int64_t offset, std::int64_t bytes) const {
#if defined(__linux__)
  posix_fadvise(descriptor_of(*this), offset, bytes, POSIX_FADV_DONTNEED);
#endif
}

bool File::try_lock(Lock lock, std::error_code& error) const {
  int result;
  do {
    result = flock(descriptor_of(*this), (lock == Lock::shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (succeeded(result, error)) return true;
  if (error == std::errc::operation_would_block) error.clear();
  return false;
}

bool replace_file(const std::string& from, const std::string& to, std::error_code& error) {
  return succeeded(::rename(from.c_str(), to.c_str()), error);
}

bool sync_folder_of(const std::string& path, std::error_code& error) {
  error.clear();
  const auto folder = path_of(path).parent_path();
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return true;
  const bool damaged = sync_descriptor(descriptor) != 0 && errno == EIO;
  ::close(descriptor);
  if (damaged) error = std::make_error_code(std::errc::io_error);
  return !damaged;
}

}  // namespace cellsam::os
