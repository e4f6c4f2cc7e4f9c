// Background work: one command with its promise, its cancel flag and its progress. A job is created on the JavaScript thread,
// runs on a JobThread, and settles its promise on the JavaScript thread.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "engine.h"
#include "environment.h"
#include "error.h"

namespace cellsam::binding {

class Job final : public Control, public std::enable_shared_from_this<Job> {
 public:
  using Work = std::function<Value(Control&)>;

  // JavaScript thread. `on_event` is a function or undefined. `at_once`: of how many jobs that run at the same time it may be
  // one; 1: it runs alone.
  static std::shared_ptr<Job> create(Napi::Env env, Work work, Napi::Value on_event, std::int64_t at_once = 1);

  // JavaScript thread. The object that the caller gets: {promise, cancel()}.
  Napi::Object handle(Napi::Env env);

  // A job thread. Runs the work; the promise is settled afterwards.
  void run();
  // Any thread. Settles the promise without running the work.
  void reject(Failure failure);
  std::int64_t at_once() const { return at_once_; }
  void cancel() { cancelled_ = true; }
  void abandon();

  bool cancelled() const override { return cancelled_ || abandoned_; }
  bool abandoned() const override { return abandoned_; }
  // Every event reaches JavaScript, in order. When too many are queued, as the JavaScript thread is blocked, it waits.
  void emit(Value event) override;

 private:
  struct Private {};  // so that only create() can use the constructor, which make_shared needs to be public

 public:
  Job(Private, Napi::Env env, Work work, Napi::Value on_event, std::int64_t at_once);
  ~Job() override;

 private:
  void conclude();
  void deliver(Napi::Env env);
  void settle(Napi::Env env);

  const std::shared_ptr<Environment> environment_;
  Work work_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> abandoned_{false};
  Value result_;
  std::optional<Failure> failure_;

  std::mutex mutex_;
  std::condition_variable taken_;  // notified when events_ has space again, or nobody has to wait any more
  std::deque<Value> events_;       // under mutex_; while it is not empty, a call of deliver() is posted

  const std::int64_t at_once_;
  const bool has_listener_;
  // JavaScript thread only. A raw reference, because a job may be destroyed on any thread after its environment has ended.
  Napi::Promise::Deferred deferred_;
  napi_ref on_event_ = nullptr;
  bool settled_ = false;
};

}  // namespace cellsam::binding
