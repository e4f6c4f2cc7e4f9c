// Kept features and several processes, on POSIX: some that add at the same time, killed ones, a full disk, read-only folders.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "native/feature_check.h"
#include "native/program.h"

namespace cellsam::test::feature_processes_program {

using namespace cellsam::test;

namespace {

// Runs `body` in a process of its own. ThreadSanitizer's `_exit` writes what is buffered: the findings would be there twice.
template <class Body>
pid_t child(Body body) {
  std::fflush(stdout);
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

void check_processes(test::Checks& checks) {
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
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(cache::FeatureFolder(busy.file(""), 0).file_of(kKey)));
  checks.holds("and add nothing twice", size < 251 * kPitch + 4 * (kBlock + (1 << 16)) && file.take_notices().empty());
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
  checks.holds("features of a killed process are there, and none is incomplete", right && !lost);
}

void check_full_disk(test::Checks& checks) {
  // As if the disk was full: a limit on the size of files.
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
  checks.holds("with a full disk nothing is added, and all else goes on", WIFEXITED(status) && WEXITSTATUS(status) == 0);
  auto after = open_in(full.file(""));
  for (std::uint64_t i = 4; i < 8; ++i) add(after, i);
  checks.holds("it adds again when there is space", all_right(after, 0, 8) && after.take_notices().empty());
}

void check_closed_folders(test::Checks& checks) {
  const test::Folder folder;
  std::filesystem::permissions(folder.file(""), std::filesystem::perms(0755));
  {
    auto file = open_in(folder.file(""));
    for (std::uint64_t i = 0; i < 3; ++i) add(file, i);
  }
  chmod(folder.file("").c_str(), 0555);
  chmod(cache::FeatureFolder(folder.file(""), 0).file_of(kKey).c_str(), 0444);
  chmod((folder.file("") + "/.lock").c_str(), 0444);
  const auto status = end_of(child([&] {
    if (geteuid() == 0 && seteuid(65534) != 0) _exit(2);  // permissions have no effect for root
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

TEST_PROGRAM(feature_processes) {
  test::Checks checks("feature_processes");
  check_processes(checks);
  check_killed(checks);
  check_full_disk(checks);
  check_closed_folders(checks);
  return checks.finish();
}

}  // namespace cellsam::test::feature_processes_program
