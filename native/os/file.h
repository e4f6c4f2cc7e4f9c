// A file that is read and written at offsets, with the lock that tells other processes that it is in use. POSIX and Windows
// have a half each (file_posix.cc, file_windows.cc). Paths are UTF-8; what goes wrong comes back as a code of
// std::generic_category() where it has one, so that messages and comparisons are the same everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

namespace cellsam::os {

enum class Access {
  read,    // of a file that is there
  update,  // reading and writing; made, empty, when it is not there
  create,  // writing a file that nobody else has; an error when it is there
};

// Many readers, or one who changes or removes it.
enum class Lock { shared, exclusive };

// Every method may be called from any thread; `error` is cleared when all went well.
class File {
 public:
  File() = default;
  File(const std::string& path, Access access, std::error_code& error);
  ~File() { close(); }
  File(File&& other) noexcept : handle_(std::exchange(other.handle_, kNone)) {}
  File& operator=(File&& other) noexcept;

  explicit operator bool() const { return handle_ != kNone; }
  void close();

  // Not a folder, a pipe or a device.
  bool is_regular() const;
  std::int64_t size(std::error_code& error) const;
  // How many bytes were read: fewer than asked for only at the end of the file, or with an error.
  std::int64_t read(void* to, std::int64_t bytes, std::int64_t offset, std::error_code& error) const;
  // False unless all of it was written.
  bool write(const void* from, std::int64_t bytes, std::int64_t offset, std::error_code& error) const;
  bool resize(std::int64_t bytes, std::error_code& error) const;
  // Down to the disk.
  bool sync(std::error_code& error) const;
  // It was used now; for the file's time, where that can be set.
  void touch() const;
  // These bytes will not be read soon: the system may use its memory for others.
  void forget(std::int64_t offset, std::int64_t bytes) const;

  // False with no error when another holds a lock that excludes this one: it never waits. The lock binds only those who ask
  // for one too, and ends with the file object or with the process.
  bool try_lock(Lock lock, std::error_code& error) const;

  // The system's own: a descriptor, or a HANDLE.
  std::intptr_t handle() const { return handle_; }

 private:
  static constexpr std::intptr_t kNone = -1;  // on both systems
  // One call of the system, for 1 GiB at most: what it moved, 0 at the end of the file; below 0 with an error.
  std::int64_t read_part(void* to, std::int64_t bytes, std::int64_t offset, std::error_code& error) const;
  std::int64_t write_part(const void* from, std::int64_t bytes, std::int64_t offset, std::error_code& error) const;
  std::intptr_t handle_ = kNone;
};

// Gives a file the name of another, which is replaced if it is there: whoever opens the name gets one of the two, whole.
bool replace_file(const std::string& from, const std::string& to, std::error_code& error);

// Makes the names in the folder of `path` durable. Some network file systems cannot, and Windows has no way to ask: no error.
bool sync_folder_of(const std::string& path, std::error_code& error);

void remove_file(const std::string& path, std::error_code& error);

}  // namespace cellsam::os
