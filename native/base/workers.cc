#include "base/workers.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace cellsam {

Workers::Workers(std::int64_t most, std::function<void()> prepare)
    : most_(std::max<std::int64_t>(1, most)), prepare_(std::move(prepare)) {}

Workers::~Workers() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Workers::for_each(std::int64_t count, const Body& body) {
  if (count <= 0) return;
  Group group{.count = count, .body = body};
  std::unique_lock lock(mutex_);
  std::int64_t unbegun = count;
  for (const auto* earlier : groups_) unbegun += earlier->count - earlier->next;
  for (auto missing = std::min(unbegun - idle_, most_ - std::ssize(threads_)); missing > 0; --missing) {
    try {
      threads_.emplace_back([this] { run(); });
    } catch (const std::system_error&) {  // the system has no more threads
      if (threads_.empty()) throw;
      break;
    }
  }
  groups_.push_back(&group);
  changed_.notify_all();
  changed_.wait(lock, [&] { return group.next == group.count && group.ended == group.count; });
  if (group.failure) std::rethrow_exception(group.failure);
}

void Workers::run() {
  prepare_();
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return stop_ || !groups_.empty(); });
    --idle_;
    if (groups_.empty()) return;
    auto& group = *groups_.front();
    const auto piece = group.next++;
    if (group.next == group.count) groups_.pop_front();
    lock.unlock();
    std::exception_ptr failure;
    try {
      group.body(piece);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    ++group.ended;
    if (failure) {
      if (group.failed < 0 || piece < group.failed) {
        group.failed = piece;
        group.failure = failure;
      }
      if (group.next < group.count) {  // the rest is not begun
        std::erase(groups_, &group);
        group.count = group.next;
      }
    }
    changed_.notify_all();
  }
}

}  // namespace cellsam
