// Workers: that pieces run at the same time, each once, in the order of the calls, and how they fail.
#include "base/workers.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "engine.h"
#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::workers_program {

namespace {

// Pieces that return when `together` of them have met: with fewer threads they hang.
class Meeting {
 public:
  explicit Meeting(int together) : together_(together) {}
  void wait() {
    std::unique_lock lock(mutex_);
    most_ = std::max(most_, ++inside_);
    changed_.notify_all();
    changed_.wait(lock, [this] { return most_ >= together_; });
    --inside_;
  }
  int most() const { return most_; }

 private:
  const int together_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0, most_ = 0;
};

void check_pieces(Checks& checks) {
  std::atomic<int> prepared{0};
  Workers workers(3, [&] { ++prepared; });
  std::vector<std::atomic<int>> times(50);
  Meeting meeting(3);
  workers.for_each(50, [&](std::int64_t i) {
    meeting.wait();
    ++times[static_cast<std::size_t>(i)];
  });
  checks.holds("each piece once", std::all_of(times.begin(), times.end(), [](const auto& n) { return n == 1; }));
  checks.holds("on three threads, each prepared", meeting.most() == 3 && prepared == 3);
  workers.for_each(0, [&](std::int64_t) { ++prepared; });
  checks.holds("no piece", prepared == 3);

  Workers lazy(8, [&] { ++prepared; });
  lazy.for_each(1, [](std::int64_t) {});
  checks.holds("no more threads than pieces", prepared == 4);
}

// Two callers whose pieces need each other: the second caller's begin while the first one's still run.
void check_callers(Checks& checks) {
  Workers workers(2, [] {});
  Meeting meeting(2);
  std::atomic<int> done{0};
  const auto call = [&] {
    workers.for_each(1, [&](std::int64_t) {
      meeting.wait();
      ++done;
    });
  };
  std::thread other(call);
  call();
  other.join();
  checks.holds("callers share the threads", done == 2);
}

void check_failures(Checks& checks) {
  Workers workers(4, [] {});
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> begun{0};
    Meeting meeting(3);
    const auto failing = [&](std::int64_t i) {
      ++begun;
      if (i > 0) meeting.wait();  // 1, 2 and 3 fail at the same time
      if (i > 0) throw Error("ERR_" + std::to_string(i), "told to fail");
    };
    if (round == 0) {
      checks.throws("the piece of the lowest number", "ERR_1", [&] { workers.for_each(1000, failing); });
    } else {
      try {
        workers.for_each(1000, failing);
      } catch (const Error& error) {
        if (error.code != "ERR_1") checks.holds("the lowest number in every round", false);
      }
    }
    if (begun > 8) checks.holds("none is begun after a failure", false);
  }
  std::atomic<int> after{0};
  workers.for_each(9, [&](std::int64_t) { ++after; });
  checks.holds("the threads go on", after == 9);
}

}  // namespace

TEST_PROGRAM(workers) {
  Checks checks("workers");
  check_pieces(checks);
  check_callers(checks);
  check_failures(checks);
  return checks.finish();
}

}  // namespace cellsam::test::workers_program
