// Loops on libtorch's threads: that there are several, and that each number is met once.
#include "base/parallel.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "native/checks.h"
#include "native/folder.h"
#include "native/program.h"

namespace cellsam::test::parallel_program {

namespace {

using Clock = std::chrono::steady_clock;

// How often each number of [0, count) was met, and on how many threads.
struct Met {
  std::vector<std::atomic<int>> times;
  std::set<std::thread::id> threads;
  std::int64_t shortest;
};

Met meet(std::int64_t count, std::int64_t grain) {
  Met met{std::vector<std::atomic<int>>(static_cast<std::size_t>(count)), {}, count};
  std::mutex mutex;
  parallel_for(0, count, grain, [&](std::int64_t from, std::int64_t to) {
    for (auto i = from; i < to; ++i) ++met.times[static_cast<std::size_t>(i)];
    std::lock_guard lock(mutex);
    met.threads.insert(std::this_thread::get_id());
    met.shortest = std::min(met.shortest, to - from);
  });
  return met;
}

bool each_once(const Met& met) {
  return std::all_of(met.times.begin(), met.times.end(), [](const auto& times) { return times == 1; });
}

void check_threads(test::Checks& checks) {
  at::set_num_threads(1);
  const auto alone = meet(100, 1);
  checks.holds("one thread gets all", each_once(alone) && alone.threads == std::set{std::this_thread::get_id()});
  at::set_num_threads(2);
  for (const std::int64_t count : {1, 2, 3, 7, 100, 12345}) {
    checks.holds("each of " + std::to_string(count) + " once, on as many threads as there are",
                 each_once(meet(count, 1)) && meet(count, 1).threads.size() == (count > 1 ? 2 : 1));
  }
  checks.holds("no part is shorter than the grain", meet(100, 60).shortest >= 40 && meet(100, 100).threads.size() == 1);
  parallel_for(5, 5, 1, [&](std::int64_t, std::int64_t) { checks.holds("an empty range calls nothing", false); });
  std::atomic<std::int64_t> sum{0};
  parallel_for(10, 20, 1, [&](std::int64_t from, std::int64_t to) {
    for (auto i = from; i < to; ++i) sum += i;
  });
  checks.holds("a range that does not begin at 0", sum == 145);

  // Each part waits for the other one to begin: on one thread that would never happen.
  std::atomic<int> begun{0};
  std::atomic<bool> together{true};
  parallel_for(0, 2, 1, [&](std::int64_t from, std::int64_t to) {
    begun += static_cast<int>(to - from);
    const auto until = Clock::now() + std::chrono::seconds(20);
    while (begun < 2 && Clock::now() < until) std::this_thread::yield();
    if (to - from != 1 || begun < 2) together = false;
  });
  checks.holds("at the same time", together);
}

void check_rules(test::Checks& checks) {
  std::atomic<int> parts{0};
  parallel_for(0, 2, 1, [&](std::int64_t from, std::int64_t to) {
    for (auto i = from; i < to; ++i) {
      parallel_for(0, 10, 1, [&](std::int64_t, std::int64_t) { ++parts; });
    }
  });
  checks.holds("a loop within a loop keeps to its thread", parts == 2);
  for (const int thrower : {0, 99}) {
    checks.throws("the error of part " + std::to_string(thrower) + " is rethrown", "ERR_TEST", [&] {
      parallel_for(0, 100, 1, [&](std::int64_t from, std::int64_t to) {
        if (from <= thrower && thrower < to) throw Error("ERR_TEST", "thrown in a part");
      });
    });
  }
}

}  // namespace

TEST_PROGRAM(parallel) {
  test::Checks checks("parallel");
  check_threads(checks);
  check_rules(checks);
  return checks.finish();
}

}  // namespace cellsam::test::parallel_program
