// Kept features as a file: what several processes add at once, what a killed one leaves, damage of every kind, limits of disk
// and memory, folders that cannot be written.
// links: model loss augment data optim metric infer weights engine
#include "engine/feature_file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>

#include "native/data_check.h"

using namespace cellsam;
using engine::FeatureFile;
using engine::FeatureFolder;

namespace {

constexpr std::int64_t kBytes = 10'000, kPitch = 12'288, kBlock = 4096;
constexpr std::int64_t kPlenty = 1 << 30;
const std::string kKey = "0123456789abcdef0123456789abcdef", kOther = "fedcba9876543210fedcba9876543210";

Print print_number(std::uint64_t i) { return print_of(&i, sizeof i); }

// The only right content for a number.
std::string payload(std::uint64_t i) {
  std::string bytes(kBytes, '\0');
  for (std::size_t at = 0; at < bytes.size(); ++at) bytes[at] = static_cast<char>((i + 1) * 31 + at * (i % 7 + 1));
  return bytes;
}

FeatureFile open_in(const std::string& folder, std::int64_t limit = kPlenty, const std::string& key = kKey,
                    std::int64_t memory = 0) {
  return FeatureFile(FeatureFolder(folder, limit), key, kBytes, memory);
}
void add(FeatureFile& file, std::uint64_t i) { file.add(print_number(i), payload(i).data()); }

enum class Found { no, right, wrong };
Found find(FeatureFile& file, std::uint64_t i) {
  const auto* found = file.find(print_number(i));
  if (found == nullptr) return Found::no;
  return std::memcmp(found, payload(i).data(), kBytes) == 0 ? Found::right : Found::wrong;
}
bool all_right(FeatureFile& file, std::uint64_t from, std::uint64_t to) {
  for (auto i = from; i < to; ++i) {
    if (find(file, i) != Found::right) return false;
  }
  return true;
}
bool told(FeatureFile& file, const std::string& word) {
  const auto notices = file.take_notices();
  return notices.size() == 1 && notices[0].find(word) != std::string::npos;
}

void flip(const std::string& path, std::int64_t offset) {
  const int file = open(path.c_str(), O_RDWR);
  char byte = 0;
  if (pread(file, &byte, 1, offset) == 1) byte = static_cast<char>(byte ^ 0x10);
  if (pwrite(file, &byte, 1, offset) != 1) std::abort();
  close(file);
}

// Runs `body` in a process of its own.
template <class Body>
pid_t child(Body body) {
  const pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(0);
  }
  return pid;
}
int end_of(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

void check_sharing(test::Checks& checks) {
  const test::Folder folder;
  {
    auto one = open_in(folder.file("")), two = open_in(folder.file(""));
    checks.holds("nothing is there at first", find(one, 1) == Found::no);
    for (std::uint64_t i = 0; i < 200; ++i) add(one, i);  // more than three index blocks
    checks.holds("what one adds, it finds", all_right(one, 0, 200));
    checks.holds("and so does another that was open before", all_right(two, 0, 200));
    const auto size = std::filesystem::file_size(FeatureFolder(folder.file(""), 0).file_of(kKey));
    add(two, 7);
    checks.holds("what is there is not added again",
                 std::filesystem::file_size(FeatureFolder(folder.file(""), 0).file_of(kKey)) == size);
    checks.holds("nothing is to be told", one.take_notices().empty() && two.take_notices().empty());
  }
  auto later = open_in(folder.file(""));
  checks.holds("it is there in another run", all_right(later, 0, 200) && find(later, 200) == Found::no);

  const test::Folder busy;
  std::vector<pid_t> children;
  for (std::uint64_t k = 0; k < 3; ++k) {
    children.push_back(child([&, k] {
      auto file = open_in(busy.file(""));
      for (std::uint64_t i = 0; i < 100; ++i) add(file, (i * 37 + k * 11) % 100);  // the same hundred in other orders
      for (std::uint64_t i = 0; i < 50; ++i) add(file, 1000 * (k + 1) + i);
    }));
  }
  bool ended = true;
  for (auto pid : children) ended = ended && end_of(pid) == 0;
  auto file = open_in(busy.file(""));
  checks.holds("three processes at once lose nothing", ended && all_right(file, 0, 100) && all_right(file, 1000, 1050) &&
                                                           all_right(file, 2000, 2050) && all_right(file, 3000, 3050));
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(FeatureFolder(busy.file(""), 0).file_of(kKey)));
  checks.holds("and write nothing twice", size < 251 * kPitch + 4 * (kBlock + (1 << 16)) && file.take_notices().empty());
}

void check_killed(test::Checks& checks) {
  const test::Folder folder;
  std::uint64_t next = 0;
  bool right = true, lost = false;
  for (int round = 0; round < 25; ++round) {
    int told_by_child[2];
    if (pipe(told_by_child) != 0) std::abort();
    const auto pid = child([&] {
      auto file = open_in(folder.file(""));
      for (auto i = next;; ++i) {
        add(file, i);
        if (write(told_by_child[1], &i, sizeof i) != sizeof i) _exit(1);
      }
    });
    std::uint64_t last = 0;
    for (int i = 0; i < 3; ++i) lost = lost || read(told_by_child[0], &last, sizeof last) != sizeof last;
    usleep(static_cast<useconds_t>(137 * round % 1000));
    kill(pid, SIGKILL);
    end_of(pid);
    close(told_by_child[1]);
    std::uint64_t more = 0;
    while (read(told_by_child[0], &more, sizeof more) == sizeof more) last = more;
    close(told_by_child[0]);
    auto file = open_in(folder.file(""));
    right = right && all_right(file, next, last + 1) && find(file, last + 1) != Found::wrong;
    next = last + 1;
    right = right && file.take_notices().empty();
  }
  checks.holds("what a killed process had added is there, and nothing half", right && !lost);

  // A kill between the payload and its entry, or within the payload.
  const test::Folder torn;
  const auto path = FeatureFolder(torn.file(""), 0).file_of(kKey);
  {
    auto file = open_in(torn.file(""));
    for (std::uint64_t i = 0; i < 5; ++i) add(file, i);
  }
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(kBlock + 5 * kPitch + 777));
  auto file = open_in(torn.file("")), reader = open_in(torn.file(""));
  for (std::uint64_t i = 5; i < 80; ++i) add(file, i);
  checks.holds("a torn tail is ignored, by the one that adds and by others",
               all_right(file, 0, 80) && all_right(reader, 0, 80) && file.take_notices().empty());
}

void check_damage(test::Checks& checks) {
  const test::Folder folder;
  const auto path = FeatureFolder(folder.file(""), 0).file_of(kKey);
  const auto fill = [&] {
    std::filesystem::remove(path);
    auto file = open_in(folder.file(""));
    for (std::uint64_t i = 0; i < 6; ++i) add(file, i);
  };
  const auto repaired = [&](const std::string& what, std::uint64_t number) {
    {
      auto file = open_in(folder.file(""));
      checks.holds(what + " is found", find(file, number) == Found::no && find(file, 5) != Found::wrong);
      checks.holds(what + " is told, once", told(file, "damaged") && find(file, number) == Found::no);
      add(file, number);
      checks.holds(what + " is answered by a new copy", find(file, number) == Found::right);
    }
    auto file = open_in(folder.file(""));
    checks.holds(what + " stays repaired", find(file, number) == Found::right);
  };
  fill();
  flip(path, kBlock + 2 * kPitch + 4321);
  repaired("a flipped bit in a payload", 2);
  fill();
  flip(path, 64 + 3 * 64 + 5);
  repaired("a flipped bit in an entry", 3);
  fill();
  flip(path, 20);
  repaired("a flipped bit in the head", 1);
  fill();
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(kBlock + 4 * kPitch + 100));
  repaired("a file that was cut off", 4);
  fill();
  std::filesystem::resize_file(path, 10);
  repaired("a file that is nearly empty", 0);
  {
    fill();
    auto open_before = open_in(folder.file(""));
    checks.holds("read while it was whole", find(open_before, 1) == Found::right);
    flip(path, 20);
    auto file = open_in(folder.file(""));
    add(file, 1);
    checks.holds("who has the file open keeps it",
                 find(open_before, 1) == Found::right && find(open_before, 3) == Found::right);
  }
}

void check_limits(test::Checks& checks) {
  const test::Folder folder;
  const auto of = [&](const std::string& key) { return FeatureFolder(folder.file(""), 0).file_of(key); };
  const std::int64_t limit = kBlock + 10 * kPitch;
  {
    auto file = open_in(folder.file(""), limit);
    for (std::uint64_t i = 0; i < 20; ++i) add(file, i);
    checks.holds("no more than the limit", all_right(file, 0, 9) && find(file, 19) == Found::no);
    checks.holds("the limit is kept", static_cast<std::int64_t>(std::filesystem::file_size(of(kKey))) <= limit);
    checks.holds("and told, once", told(file, "limit"));
    auto other = open_in(folder.file(""), limit, kOther);
    add(other, 1);
    checks.holds("a file in use makes no room", find(other, 1) == Found::no && find(file, 3) == Found::right);
  }
  {
    auto other = open_in(folder.file(""), limit, kOther);
    for (std::uint64_t i = 0; i < 9; ++i) add(other, i);
    checks.holds("one that nobody uses does", all_right(other, 0, 9) && !std::filesystem::exists(of(kKey)));
    checks.holds("without a word", other.take_notices().empty());
  }
  for (const auto& [key, age] : {std::pair(kKey, 2), std::pair(kOther, 1)}) {  // the first was not used for longer
    {
      auto file = open_in(folder.file(""), 2 * limit, key);
      for (std::uint64_t i = 0; i < 8; ++i) add(file, i);
    }
    std::filesystem::last_write_time(of(key), std::filesystem::file_time_type::clock::now() - std::chrono::hours(age));
  }
  {
    auto third = open_in(folder.file(""), 2 * limit, std::string(32, 'c'));
    for (std::uint64_t i = 0; i < 8; ++i) add(third, i);
    checks.holds("the oldest goes first",
                 all_right(third, 0, 8) && !std::filesystem::exists(of(kKey)) && std::filesystem::exists(of(kOther)));
  }
  const auto automatic = FeatureFolder(folder.file(""), -1).limit();
  const auto free = static_cast<std::int64_t>(std::filesystem::space(folder.file("")).available);
  checks.holds("by itself it takes a fifth of the disk and 64 GB at most",
               automatic > 0 && automatic <= 64'000'000'000 && automatic <= free / 5 + (1 << 30));
  const test::Folder memory;
  auto small = open_in(memory.file(""), kPlenty, kKey, 2 * kPitch);
  for (std::uint64_t i = 0; i < 30; ++i) add(small, i);
  checks.holds("with little memory all is read, again and again", all_right(small, 0, 30) && all_right(small, 0, 30));

  // A full disk, as far as one can be had: files must not grow past a size.
  const test::Folder full;
  const auto status = end_of(child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit size{static_cast<rlim_t>(kBlock + 4 * kPitch + 5000), RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &size);
    auto file = open_in(full.file(""));
    for (std::uint64_t i = 0; i < 8; ++i) add(file, i);
    const bool kept = all_right(file, 0, 4) && find(file, 4) == Found::no && find(file, 7) == Found::no;
    _exit(kept && told(file, "File too large") ? 0 : 1);
  }));
  checks.holds("a full disk ends the adding, and nothing else", WIFEXITED(status) && WEXITSTATUS(status) == 0);
  auto after = open_in(full.file(""));
  for (std::uint64_t i = 4; i < 8; ++i) add(after, i);
  checks.holds("it goes on when there is room again", all_right(after, 0, 8) && after.take_notices().empty());
}

void check_closed_folders(test::Checks& checks) {
  const test::Folder folder;
  std::filesystem::permissions(folder.file(""), std::filesystem::perms(0755));
  {
    auto file = open_in(folder.file(""));
    for (std::uint64_t i = 0; i < 3; ++i) add(file, i);
  }
  chmod(folder.file("").c_str(), 0555);
  chmod(FeatureFolder(folder.file(""), 0).file_of(kKey).c_str(), 0444);
  chmod((folder.file("") + "/.lock").c_str(), 0444);
  const auto status = end_of(child([&] {
    if (geteuid() == 0 && seteuid(65534) != 0) _exit(2);  // permissions mean nothing to root
    auto file = open_in(folder.file(""));
    bool right = all_right(file, 0, 3);
    add(file, 3);
    right = right && find(file, 3) == Found::no && told(file, "cannot be added");
    auto other = open_in(folder.file(""), kPlenty, kOther);
    add(other, 1);
    right = right && find(other, 1) == Found::no && told(other, "cannot be kept");
    _exit(right ? 0 : 1);
  }));
  chmod(folder.file("").c_str(), 0755);
  checks.holds("a folder that cannot be written is read", WIFEXITED(status) && WEXITSTATUS(status) == 0);
  auto nowhere = open_in("/dev/null/features");
  add(nowhere, 1);
  checks.holds("no folder at all", find(nowhere, 1) == Found::no && told(nowhere, "cannot be kept"));
}

}  // namespace

int main() {
  test::Checks checks("feature_file");
  check_sharing(checks);
  check_killed(checks);
  check_damage(checks);
  check_limits(checks);
  check_closed_folders(checks);
  return checks.finish();
}
