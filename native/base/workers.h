// Threads for pieces of work that do not wait for each other, such as the tiles of images. Where a piece is small, one thread
// for each is faster than several inside each of its operators, which would wait for each other at every one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cellsam {

class Workers {
 public:
  using Body = std::function<void(std::int64_t)>;

  // At most `most` threads, which start as there is work for them. `prepare` runs first on each.
  Workers(std::int64_t most, std::function<void()> prepare);
  ~Workers();  // not while for_each() runs
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Calls body(0) to body(count - 1) on the threads, which begin them in this order, and returns when all have ended. After an
  // exception none is begun any more, and the exception of the lowest number is thrown. Several threads may call it at a time:
  // their pieces are begun in the order of the calls.
  void for_each(std::int64_t count, const Body& body);

  std::int64_t most() const { return most_; }

 private:
  struct Group {
    std::int64_t count;
    const Body& body;
    std::int64_t next = 0, ended = 0;  // how many were begun, and how many of them have ended
    std::int64_t failed = -1;          // the lowest number whose body threw `failure`
    std::exception_ptr failure = {};
  };

  void run();

  const std::int64_t most_;
  const std::function<void()> prepare_;
  std::mutex mutex_;
  std::condition_variable changed_;   // of what is under mutex_
  std::deque<Group*> groups_;         // under mutex_; with pieces that were not begun
  std::int64_t idle_ = 0;             // under mutex_; threads that wait for work
  bool stop_ = false;                 // under mutex_
  std::vector<std::thread> threads_;  // under mutex_
};

}  // namespace cellsam
