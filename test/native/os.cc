// What the product asks of the system: files, locks, mappings, libraries, the environment. Without libtorch, so that a cross
// compiler alone can build it for another system (docs/building.md).
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"
#include "os/atomic_file.h"
#include "os/library.h"
#include "os/mapping.h"
#include "os/process.h"

namespace cellsam::test::os_program {

using os::Access;
using os::File;
using os::Lock;

namespace {

const std::string kName = "Zellen-\xC3\xBC-\xE7\xB4\xB0\xE8\x83\x9E";  // 2 and 3 bytes a character
constexpr std::int64_t kGroup = os::Mapping::kAlignment;

std::string content(const std::string& path) {
  std::error_code error;
  const File file(path, Access::read, error);
  std::string bytes(file ? static_cast<std::size_t>(file.size(error)) : 0, '\0');
  if (file) file.read(bytes.data(), static_cast<std::int64_t>(bytes.size()), 0, error);
  return error ? "error: " + error.message() : bytes;
}

void write_whole(const std::string& path, const std::string& bytes) {
  os::AtomicFile file(path);
  file.write(bytes.data(), static_cast<std::int64_t>(bytes.size()), 0);
  file.commit();
}

void check_files(test::Checks& checks) {
  const test::Folder folder;
  const auto path = folder.file(kName);
  std::error_code error;
  checks.holds("a file that is not there", !File(path, Access::read, error) && error == std::errc::no_such_file_or_directory);
  const File file(path, Access::update, error);
  checks.holds("is made to be updated", file && !error && file.size(error) == 0 && file.is_regular());
  checks.holds("under a name that is not ASCII", std::filesystem::exists(os::path_of(path)) && folder.files() == 1);
  checks.holds("and not made twice", !File(path, Access::create, error) && error == std::errc::file_exists);

  checks.holds("written at an offset", file.write("cells", 5, 3, error) && !error);
  std::array<char, 16> bytes;
  bytes.fill('x');
  checks.holds("read as far as it reaches", file.read(bytes.data(), 16, 0, error) == 8 && !error);
  checks.holds("with zeros in the hole", std::memcmp(bytes.data(), "\0\0\0cellsx", 9) == 0);
  checks.holds("nothing past the end", file.read(bytes.data(), 4, 100, error) == 0 && !error);
  checks.holds("longer", file.resize(4000, error) && file.size(error) == 4000);
  checks.holds("shorter", file.resize(5, error) && content(path) == std::string("\0\0\0ce", 5));
  checks.holds("down to the disk", file.sync(error) && !error);

  std::filesystem::last_write_time(os::path_of(path), std::filesystem::file_time_type::clock::now() - std::chrono::hours(9));
  file.touch();
  checks.holds("used now", std::filesystem::last_write_time(os::path_of(path)) >
                               std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  const File reader(path, Access::read, error);
  checks.holds("a reader cannot write", reader && !reader.write("a", 1, 0, error) && error);
  const File top(folder.file(""), Access::read, error);
  checks.holds("a folder is no regular file", !top || !top.is_regular());

  auto moved = File(path, Access::read, error);
  const auto handle = moved.handle();
  const File target = std::move(moved);
  checks.holds("a file object moves", !moved && target.handle() == handle && target.size(error) == 5);
  os::remove_file(path, error);
  checks.holds("removed while it is open", !error && target.read(bytes.data(), 2, 3, error) == 2 && bytes[0] == 'c');
}

void check_locks(test::Checks& checks) {
  const test::Folder folder;
  const auto path = folder.file("lock");
  std::error_code error;
  File one(path, Access::update, error), two(path, Access::update, error);
  const File reader(path, Access::read, error);
  checks.holds("a free lock is had", one.try_lock(Lock::exclusive, error) && !error);
  checks.holds("but once", !two.try_lock(Lock::exclusive, error) && !error && !reader.try_lock(Lock::shared, error) && !error);
  checks.holds("and keeps nobody from the bytes",
               two.write("free", 4, 0, error) && content(path) == "free" && std::filesystem::file_size(os::path_of(path)) == 4);
  one.close();
  checks.holds("it ends with its holder", two.try_lock(Lock::shared, error) && reader.try_lock(Lock::shared, error));
  File third(path, Access::update, error);
  checks.holds("users keep a remover off", !third.try_lock(Lock::exclusive, error) && !error);

  // Atomic, since ThreadSanitizer does not see that a lock on a file orders them.
  std::atomic<int> most = 0, inside = 0, times = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50;) {
        std::error_code ignored;
        const File file(folder.file("turns"), Access::update, ignored);
        if (!file.try_lock(Lock::exclusive, ignored)) {
          std::this_thread::yield();
          continue;
        }
        most = std::max(most.load(), ++inside);
        ++times;
        --inside;
        ++round;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  checks.holds("one at a time", most == 1 && times == 200);
}

void check_mappings(test::Checks& checks) {
  const test::Folder folder;
  const auto path = folder.file("map");
  std::error_code error;
  const File file(path, Access::update, error);
  std::vector<char> bytes(static_cast<std::size_t>(2 * kGroup + 100));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i % 251);
  file.write(bytes.data(), kGroup + 100, 0, error);
  const os::Mapping early(file, kGroup, kGroup, error);
  checks.holds("as far as the file reaches", !error && early.bytes() == 100);
  checks.holds("what is in it", std::memcmp(early.data(), bytes.data() + kGroup, 100) == 0);
  file.write(bytes.data() + kGroup + 100, kGroup, kGroup + 100, error);
  checks.holds("a mapped file grows", !error && file.size(error) == 2 * kGroup + 100);
  const os::Mapping late(file, kGroup, kGroup, error);
  checks.holds("a later mapping reaches further",
               late.bytes() == kGroup && std::memcmp(late.data(), bytes.data() + kGroup, kGroup) == 0);
  file.write("new", 3, kGroup + 50, error);
  checks.holds("what is written is seen by both",
               std::memcmp(late.data() + 50, "new", 3) == 0 && std::memcmp(early.data() + 50, "new", 3) == 0);
  early.forget(0, 100);
  late.forget(0, kGroup);
  late.forget(kGroup - 1, 5 * kGroup);
  checks.holds("what was forgotten is read again", std::memcmp(late.data() + 60, bytes.data() + kGroup + 60, 4000) == 0);
  const os::Mapping beyond(file, 8 * kGroup, kGroup, error);
  checks.holds("nothing past the end", beyond.data() == nullptr && beyond.bytes() == 0);
  os::Mapping kept;
  {
    const File again(path, Access::read, error);
    kept = os::Mapping(again, 0, kGroup, error);
  }
  checks.holds("a mapping outlives its file", kept.bytes() == kGroup && kept.data()[250] == static_cast<char>(250));
  os::remove_file(path, error);
  checks.holds("and its removal", kept.data()[249] == static_cast<char>(249));
#if !defined(_WIN32)  // where the name may stay as long as somebody maps the file
  checks.holds("which frees the name", !error && !std::filesystem::exists(os::path_of(path)));
#endif
}

void check_atomic_files(test::Checks& checks) {
  const test::Folder folder;
  const auto path = folder.file(kName);
  {
    os::AtomicFile file(path);
    file.write("part", 4, 0);
    checks.holds("nothing under the name before it is complete", !std::filesystem::exists(os::path_of(path)));
  }
  checks.holds("nor after it was given up", folder.files() == 0);
  write_whole(path, "first");
  checks.holds("there when complete, alone", content(path) == "first" && folder.files() == 1);
  {
    os::AtomicFile file(path);
    file.write("other", 5, 0);
  }
  checks.holds("the old one stays when the new one is given up", content(path) == "first" && folder.files() == 1);
  {
    std::error_code error;
    const File reader(path, Access::read, error);
    bool refused = false;
    try {
      write_whole(path, "second");
    } catch (const std::system_error& why) {  // a Windows that does not rename as POSIX does
      refused = why.code() == std::errc::permission_denied;
    }
    checks.holds("replaced under a reader, or refused, and the reader keeps the old one",
                 content(path) == (refused ? "first" : "second") && reader.size(error) == 5);
#if !defined(_WIN32)
    checks.holds("never refused on POSIX", !refused);
#endif
  }
  write_whole(path, "third");
  checks.holds("replaced", content(path) == "third" && folder.files() == 1);
  try {
    os::AtomicFile nowhere(folder.file("absent") + "/file");
    checks.holds("no folder", false);
  } catch (const std::system_error& error) {
    checks.holds("no folder: the step and the reason",
                 std::string(error.what()).starts_with("create: ") && error.code() == std::errc::no_such_file_or_directory);
  }
  std::vector<std::filesystem::path> folders{os::path_of(folder.file(""))};
#if defined(_WIN32)
  folders[0] = std::filesystem::path(L"\\\\?\\") / folders[0];
#endif
  while (folders.size() < 8) {
    folders.push_back(folders.back() / std::string(60, 'd'));
    std::filesystem::create_directory(folders.back());
  }
  const auto deep = folder.file(std::string(60, 'd')) + os::text_of(folders.back()).substr(os::text_of(folders[1]).size());
  write_whole(deep + "/" + kName, "deep");
  checks.holds("a path of more than 260 characters", content(deep + "/" + kName) == "deep");
  std::filesystem::remove(folders.back() / os::path_of(kName));
  for (; folders.size() > 1; folders.pop_back()) std::filesystem::remove(folders.back());
}

void check_process(test::Checks& checks) {
  checks.holds("a variable that is not set", !os::environment("CELLSAM_TEST_UNSET"));
  os::set_default_environment("CELLSAM_TEST_SET", "one");
  os::set_default_environment("CELLSAM_TEST_SET", "two");
  checks.holds("a default is set once", os::environment("CELLSAM_TEST_SET") == "one");
  const char* seen = std::getenv("CELLSAM_TEST_SET");
  checks.holds("and seen by C", seen != nullptr && std::string(seen) == "one");
  checks.holds("a long one", os::environment("PATH").value_or("").size() > 3);
  os::lower_thread_priority();

  std::string why;
  checks.holds("a library that is not there says so",
               os::open_library(os::library_file("cellsam_absent"), os::Symbols::own, why) == nullptr && !why.empty());
  checks.holds("and is not open", !os::is_open(os::library_file("cellsam_absent")));
#if defined(_WIN32)
  const char *name = "kernel32.dll", *symbol = "GetTickCount";
#elif defined(__APPLE__)
  const char *name = "libSystem.B.dylib", *symbol = "strlen";
#else
  const char *name = "libm.so.6", *symbol = "cos";
#endif
  auto* library = os::open_library(name, os::Symbols::own, why);
  checks.holds("one of the system's opens by its name", library != nullptr && os::is_open(name));
  auto* function = library == nullptr ? nullptr : os::find_symbol(library, symbol);
  checks.holds("and has its symbols", function != nullptr && os::find_symbol(library, "cellsam_absent") == nullptr);
  checks.holds("an address tells its library",
               os::library_at(function).find(std::string(name).substr(0, 4)) != std::string::npos);
}

}  // namespace

TEST_PROGRAM(os) {
  test::Checks checks("os");
  check_files(checks);
  check_locks(checks);
  check_mappings(checks);
  check_atomic_files(checks);
  check_process(checks);
  return checks.finish();
}

}  // namespace cellsam::test::os_program
