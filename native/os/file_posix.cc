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

// What a system call's answer means: below 0 is a failure, of which errno tells.
bool succeeded(std::int64_t answer, std::error_code& error) {
  if (answer >= 0) {
    error.clear();
  } else {
    error = {errno, std::generic_category()};
  }
  return answer >= 0;
}

// O_NONBLOCK: opening a pipe that nobody writes to must not wait for ever. It means nothing for regular files.
constexpr int flags_of(Access access) {
  switch (access) {
    case Access::read: return O_RDONLY | O_NONBLOCK | O_CLOEXEC;
    case Access::update: return O_RDWR | O_CREAT | O_CLOEXEC;
    default: return O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  }
}

int sync_descriptor(int descriptor) {
#if defined(__APPLE__)
  if (fcntl(descriptor, F_FULLFSYNC) == 0) return 0;  // fsync alone leaves the data in the drive's cache there
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
  std::int64_t got;
  do {
    got = pread(descriptor_of(*this), to, static_cast<std::size_t>(bytes), offset);
  } while (got < 0 && errno == EINTR);
  succeeded(got, error);
  return got;
}

std::int64_t File::write_part(const void* from, std::int64_t bytes, std::int64_t offset, std::error_code& error) const {
  std::int64_t put;
  do {
    put = pwrite(descriptor_of(*this), from, static_cast<std::size_t>(bytes), offset);
  } while (put < 0 && errno == EINTR);
  succeeded(put, error);
  return put;
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
  int answer;
  do {
    answer = flock(descriptor_of(*this), (lock == Lock::shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
  } while (answer != 0 && errno == EINTR);
  if (succeeded(answer, error)) return true;
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
