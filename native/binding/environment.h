// The state of the binding for one JavaScript environment (the main thread, or a worker): a queue of tasks that other threads
// post to the JavaScript thread, and the list of threads that must be joined before the environment ends.
#pragma once

#include <napi.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace cellsam::binding {

// A thread that an environment owns.
class Stoppable {
 public:
  virtual ~Stoppable() = default;
  virtual void stop() = 0;         // asks the thread to end soon, without waiting for that
  virtual void join() = 0;         // waits for the thread's end
  virtual bool ended() const = 0;  // whether join() returns at once
};

class Environment : public std::enable_shared_from_this<Environment> {
 public:
  using Task = std::function<void(Napi::Env)>;

  // Creates the state of `env` and registers its clean-up. Call it once, when the module is loaded.
  static void create(Napi::Env env);
  static std::shared_ptr<Environment> of(Napi::Env env);

  // Runs `task` on the JavaScript thread soon. May be called on any thread. Tasks that are posted after stop() are dropped.
  void post(Task task);

  // JavaScript thread only. Between ref() and unref() the event loop stays alive.
  void ref(Napi::Env env);
  void unref(Napi::Env env);

  // JavaScript thread only.
  void adopt(std::shared_ptr<Stoppable> thread);
  void reap();  // joins the threads that have ended
  bool stopped() const { return stopped_; }

  // JavaScript thread only. An exception of `task` becomes an uncaught exception of the program, and other tasks still run.
  static void run(Napi::Env env, const Task& task);

  // JavaScript thread only. Stops and joins all threads; none can be started afterwards. May be called again.
  void stop();

 private:
  void run_posted(Napi::Env env);

  std::mutex mutex_;
  std::deque<Task> tasks_;  // under mutex_
  bool woken_ = false;      // under mutex_: whether wake_ was called and has not run yet
  bool closed_ = false;     // under mutex_: whether wake_ must not be used any more
  napi_threadsafe_function wake_ = nullptr;
  int refs_ = 0;
  bool stopped_ = false;
  std::vector<std::shared_ptr<Stoppable>> threads_;
};

}  // namespace cellsam::binding
