// Background work. A Job is one command with its promise, its cancel flag and its
// progress. A JobThread runs jobs one after another. Jobs are created on the JavaScript
// thread, run on their JobThread, and settle their promises on the JavaScript thread.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "engine.h"
#include "environment.h"
#include "error.h"

namespace cellsam::binding {

class Job final : public Control, public std::enable_shared_from_this<Job> {
 public:
  using Work = std::function<Value(Control&)>;

  // JavaScript thread. `on_event` is a function or undefined.
  static std::shared_ptr<Job> create(Napi::Env env, Work work, Napi::Value on_event);

  // JavaScript thread. The object that the caller gets: {promise, cancel()}.
  Napi::Object handle(Napi::Env env);

  // Job thread. Runs the work; the promise is settled afterwards.
  void run();
  // Any thread. Settles the promise without running the work.
  void reject(Failure failure);
  void cancel() { cancelled_ = true; }
  void abandon();

  bool cancelled() const override { return cancelled_ || abandoned_; }
  bool abandoned() const override { return abandoned_; }
  // Every event reaches JavaScript, in order. When too many are queued, as the JavaScript thread is blocked, it waits.
  void emit(Value event) override;

 private:
  struct Private {};  // so that only create() can use the constructor, which make_shared needs to be public

 public:
  Job(Private, Napi::Env env, Work work, Napi::Value on_event);
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

  const bool has_listener_;
  // JavaScript thread only. A raw reference, because a job may be destroyed on any thread after its environment has ended.
  Napi::Promise::Deferred deferred_;
  napi_ref on_event_ = nullptr;
  bool settled_ = false;
};

class JobThread final : public Stoppable {
 public:
  // JavaScript thread. The environment keeps the thread until it has ended.
  static std::shared_ptr<JobThread> start(const std::shared_ptr<Environment>& environment);
  ~JobThread() override;

  // Queues a job. After finish() or stop() it is rejected with ERR_DISPOSED.
  void submit(std::shared_ptr<Job> job);
  // Abandons the running job, and rejects the queued ones with ERR_DISPOSED.
  void clear();
  // Ends the thread after the queued jobs; `last` runs on it at its end.
  void finish(std::function<void()> last = {});

  void stop() override;
  void join() override;
  bool ended() const override { return ended_; }

 private:
  void loop();

  std::shared_ptr<Environment> environment_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> queue_;  // under mutex_
  std::shared_ptr<Job> running_;            // under mutex_
  std::function<void()> last_;              // under mutex_
  bool finishing_ = false;                  // under mutex_
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace cellsam::binding
