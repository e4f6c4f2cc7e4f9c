#include <chrono>
#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

#include "os/file.h"
#include "os/path.h"
#include "os/windows.h"

namespace cellsam::os {
namespace {

// A locked byte cannot be read or written by others, so the lock is at an offset that no file has.
constexpr std::int64_t kLockOffset = std::int64_t{1} << 62;
// Virus scanners and indexers open new files for a moment, in which these cannot be renamed.
constexpr auto kRenameTimeout = std::chrono::seconds(2);

HANDLE handle_of(const File& file) { return reinterpret_cast<HANDLE>(file.handle()); }

bool succeeded(BOOL result, std::error_code& error) {
  if (result != FALSE) {
    error.clear();
  } else {
    error = last_error();
  }
  return result != FALSE;
}

// A rename that can also replace an open file, as on POSIX (Windows 10 1607 and later, NTFS). The constants are declared here,
// since it depends on the target version of Windows whether the SDK's headers declare them.
BOOL rename_like_posix(const std::wstring& from, const std::wstring& to) {
  constexpr auto kFileRenameInfoEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(22);
  constexpr DWORD kReplace = 1, kPosixSemantics = 2;
  constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  auto* file = CreateFileW(from.c_str(), DELETE | SYNCHRONIZE, kShareAll, nullptr, OPEN_EXISTING, 0, nullptr);
  if (file == INVALID_HANDLE_VALUE) return FALSE;
  std::vector<std::byte> memory(sizeof(FILE_RENAME_INFO) + to.size() * sizeof(wchar_t));
  auto* request = reinterpret_cast<FILE_RENAME_INFO*>(memory.data());
  const DWORD flags = kReplace | kPosixSemantics;
  std::memcpy(memory.data(), &flags, sizeof flags);
  request->FileNameLength = static_cast<DWORD>(to.size() * sizeof(wchar_t));
  std::memcpy(request->FileName, to.data(), to.size() * sizeof(wchar_t));
  const auto result = SetFileInformationByHandle(file, kFileRenameInfoEx, request, static_cast<DWORD>(memory.size()));
  CloseHandle(file);
  return result;
}

OVERLAPPED at(std::int64_t offset) {
  OVERLAPPED position{};
  position.Offset = static_cast<DWORD>(offset & 0xffffffff);
  position.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return position;
}

}  // namespace

std::wstring wide_path(const std::string& utf8) {
  std::error_code error;
  auto path = std::filesystem::absolute(path_of(utf8), error);
  if (error) path = path_of(utf8);
  const auto text = path.make_preferred().lexically_normal().wstring();
  if (text.size() < MAX_PATH - 12 || text.starts_with(L"\\\\?\\")) return text;
  return text.starts_with(L"\\\\") ? L"\\\\?\\UNC" + text.substr(1) : L"\\\\?\\" + text;
}

// Others may read, write, rename and remove an open file, as on POSIX. FILE_FLAG_BACKUP_SEMANTICS opens folders too, so that
// is_regular() can refuse them.
File::File(const std::string& path, Access access, std::error_code& error) {
  const DWORD rights = access == Access::read     ? GENERIC_READ
                       : access == Access::update ? GENERIC_READ | GENERIC_WRITE
                                                  : GENERIC_WRITE;
  const DWORD how = access == Access::read ? OPEN_EXISTING : access == Access::update ? OPEN_ALWAYS : CREATE_NEW;
  auto* handle = CreateFileW(wide_path(path).c_str(), rights, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr,
                             how, access == Access::read ? FILE_FLAG_BACKUP_SEMANTICS : FILE_ATTRIBUTE_NORMAL, nullptr);
  handle_ = reinterpret_cast<std::intptr_t>(handle);
  succeeded(handle_ != kNone, error);
}

void File::close() {
  if (handle_ != kNone) CloseHandle(reinterpret_cast<HANDLE>(std::exchange(handle_, kNone)));
}

bool File::is_regular() const {
  BY_HANDLE_FILE_INFORMATION about{};
  return GetFileType(handle_of(*this)) == FILE_TYPE_DISK && GetFileInformationByHandle(handle_of(*this), &about) != FALSE &&
         (about.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
}

std::int64_t File::size(std::error_code& error) const {
  LARGE_INTEGER bytes{};
  return succeeded(GetFileSizeEx(handle_of(*this), &bytes), error) ? bytes.QuadPart : 0;
}

std::int64_t File::read_part(void* to, std::int64_t bytes, std::int64_t offset, std::error_code& error) const {
  auto position = at(offset);
  DWORD read = 0;
  if (ReadFile(handle_of(*this), to, static_cast<DWORD>(bytes), &read, &position) != FALSE) return read;
  if (GetLastError() == ERROR_HANDLE_EOF) return 0;
  error = last_error();
  return -1;
}

std::int64_t File::write_part(const void* from, std::int64_t bytes, std::int64_t offset, std::error_code& error) const {
  auto position = at(offset);
  DWORD written = 0;
  const auto result = WriteFile(handle_of(*this), from, static_cast<DWORD>(bytes), &written, &position);
  return succeeded(result, error) ? std::int64_t{written} : -1;
}

bool File::resize(std::int64_t bytes, std::error_code& error) const {
  FILE_END_OF_FILE_INFO end{};
  end.EndOfFile.QuadPart = bytes;
  return succeeded(SetFileInformationByHandle(handle_of(*this), FileEndOfFileInfo, &end, sizeof end), error);
}

bool File::sync(std::error_code& error) const { return succeeded(FlushFileBuffers(handle_of(*this)), error); }

void File::touch() const {
  FILETIME now;
  GetSystemTimeAsFileTime(&now);
  SetFileTime(handle_of(*this), nullptr, nullptr, &now);
}

void File::forget(std::int64_t, std::int64_t) const {}

bool File::try_lock(Lock lock, std::error_code& error) const {
  auto position = at(kLockOffset);
  const DWORD flags = LOCKFILE_FAIL_IMMEDIATELY | (lock == Lock::exclusive ? LOCKFILE_EXCLUSIVE_LOCK : 0);
  if (LockFileEx(handle_of(*this), flags, 0, 1, 0, &position) != FALSE) {
    error.clear();
    return true;
  }
  if (const auto why = GetLastError(); why == ERROR_LOCK_VIOLATION || why == ERROR_IO_PENDING) {
    error.clear();
  } else {
    error = last_error();
  }
  return false;
}

bool replace_file(const std::string& from, const std::string& to, std::error_code& error) {
  const auto deadline = std::chrono::steady_clock::now() + kRenameTimeout;
  const auto old_name = wide_path(from), new_name = wide_path(to);
  while (rename_like_posix(old_name, new_name) == FALSE &&
         !succeeded(MoveFileExW(old_name.c_str(), new_name.c_str(), MOVEFILE_REPLACE_EXISTING), error)) {
    if (error != std::errc::permission_denied || std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  error.clear();
  return true;
}

bool sync_folder_of(const std::string&, std::error_code& error) {
  error.clear();
  return true;
}

}  // namespace cellsam::os
