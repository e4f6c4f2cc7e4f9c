// What the binding keeps per JavaScript environment (the main thread, or one worker): a way for other threads to have
// something done on the JavaScript thread, and the list of threads that must be joined before the environment goes away.
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
  virtual void stop() = 0;         // asks it to end soon; returns at once
  virtual void join() = 0;         // waits for its end
  virtual bool ended() const = 0;  // true: join() returns at once
};

class Environment : public std::enable_shared_from_this<Environment> {
 public:
  using Task = std::function<void(Napi::Env)>;

  // Creates the state of `env` and hangs it on the environment's own clean-up. Call once, when the module is loaded.
  static void create(Napi::Env env);
  static std::shared_ptr<Environment> of(Napi::Env env);

  // Has `task` run on the JavaScript thread soon. Safe on any thread; tasks posted after stop() are dropped.
  void post(Task task);

  // JavaScript thread only. While held, the event loop stays alive.
  void hold(Napi::Env env);
  void let_go(Napi::Env env);

  // JavaScript thread only.
  void adopt(std::shared_ptr<Stoppable> thread);
  void reap();  // joins the threads that have ended
  bool stopped() const { return stopped_; }

  // JavaScript thread only. What `task` throws is the program's uncaught exception, and costs no other task its turn.
  static void run(Napi::Env env, const Task& task);

  // JavaScript thread only. Stops and joins all threads; nothing can be started afterwards. May be called again.
  void stop();

 private:
  void run_posted(Napi::Env env);

  std::mutex mutex_;
  std::deque<Task> tasks_;  // under mutex_
  bool woken_ = false;      // under mutex_: a wake-up is on its way
  bool closed_ = false;     // under mutex_: wake_ may not be used any more
  napi_threadsafe_function wake_ = nullptr;
  int holds_ = 0;
  bool stopped_ = false;
  std::vector<std::shared_ptr<Stoppable>> threads_;
};

}  // namespace cellsam::binding
