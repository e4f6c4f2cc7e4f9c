// Files that are read and written at offsets and can be locked against other processes, on POSIX (file_posix.cc) and Windows
// (file_windows.cc). Paths are UTF-8. Errors are codes of std::generic_category() where it has one, so that messages and
// comparisons are the same everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

namespace cellsam::os {

enum class Access {
  read,    // an existing file
  update,  // for reading and writing; the file is made if there is none
  create,  // for writing; an error if there is a file already
};

// Any number of shared locks, or a single exclusive one.
enum class Lock { shared, exclusive };

// Every method may be called from any thread. `error` is cleared on success.
class File {
 public:
  File() = default;
  File(const std::string& path, Access access, std::error_code& error);
  ~File() { close(); }
  File(File&& other) noexcept : handle_(std::exchange(other.handle_, kNone)) {}
  File& operator=(File&& other) noexcept;

  explicit operator bool() const { return handle_ != kNone; }
  void close();

  // Whether it is neither a folder, a pipe nor a device.
  bool is_regular() const;
  std::int64_t size(std::error_code& error) const;
  // Returns how many bytes were read: fewer than `bytes` only at the end of the file or with an error.
  std::int64_t read(void* to, std::int64_t bytes, std::int64_t offset, std::error_code& error) const;
  // Returns whether all bytes were written.
  bool write(const void* from, std::int64_t bytes, std::int64_t offset, std::error_code& error) const;
  bool resize(std::int64_t bytes, std::error_code& error) const;
  // Flushes the file to the disk.
  bool sync(std::error_code& error) const;
  // Sets the file's time of modification to now, where that is possible.
  void touch() const;
  // Tells the system that these bytes will not be read soon, so that it can use their memory for others.
  void forget(std::int64_t offset, std::int64_t bytes) const;

  // Takes a lock without waiting. Returns false without an error when another file object has a lock that excludes it. Locks
  // affect nothing but other calls of try_lock, and end with the file object or the process.
  bool try_lock(Lock lock, std::error_code& error) const;

  // The file descriptor, or on Windows the HANDLE.
  std::intptr_t handle() const { return handle_; }

 private:
  static constexpr std::intptr_t kNone = -1;  // on both systems
  // A single system call, for at most 1 GiB. Return how many bytes were
  // transferred: 0 at the end of the file, below 0 with an error.
  std::int64_t read_part(void* to, std::int64_t bytes, std::int64_t offset, std::error_code& error) const;
  std::int64_t write_part(const void* from, std::int64_t bytes, std::int64_t offset, std::error_code& error) const;
  std::intptr_t handle_ = kNone;
};

// Renames a file to the name of another, which it replaces if there is one. Whoever opens the name gets one of the two, whole.
bool replace_file(const std::string& from, const std::string& to, std::error_code& error);

// Flushes the names in the folder of `path` to the disk. No error where
// that is not possible: on some network file systems and on Windows.
bool sync_folder_of(const std::string& path, std::error_code& error);

void remove_file(const std::string& path, std::error_code& error);

}  // namespace cellsam::os
