#include "environment.h"

#include <algorithm>
#include <utility>

namespace cellsam::binding {

namespace {

using Holder = std::shared_ptr<Environment>;

}  // namespace

void Environment::create(Napi::Env env) {
  auto self = std::make_shared<Environment>();
  auto name = Napi::String::New(env, "cellsam");
  // One thread-safe function for the environment, which we never release. One for each job would have to be released by a
  // thread, at the same time as the environment may end, and Node 20 frees such a function while threads still use it.
  auto* context = new Holder(self);
  const auto status = napi_create_threadsafe_function(
      env, nullptr, nullptr, name, 0, 1, context, [](napi_env, void* data, void*) { delete static_cast<Holder*>(data); },
      context,
      [](napi_env running, napi_value, void* data, void*) {
        if (running != nullptr) (*static_cast<Holder*>(data))->run_posted(running);
      },
      &self->wake_);
  if (status != napi_ok) {
    delete context;
    throw Napi::Error::New(env, "binding.node could not set up its wake-up call");
  }
  napi_unref_threadsafe_function(env, self->wake_);
  // Hooks run in reverse order. This one is added after that of the
  // thread-safe function, so the threads are joined before that ends.
  napi_add_env_cleanup_hook(
      env,
      [](void* data) {
        auto* holder = static_cast<Holder*>(data);
        (*holder)->stop();
        delete holder;
      },
      new Holder(self));
  env.SetInstanceData(new Holder(self));
}

std::shared_ptr<Environment> Environment::of(Napi::Env env) { return *env.GetInstanceData<Holder>(); }

void Environment::post(Task task) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  tasks_.push_back(std::move(task));
  if (woken_) return;
  woken_ = napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking) == napi_ok;
}

void Environment::ref(Napi::Env env) {
  if (refs_++ == 0 && !stopped_) napi_ref_threadsafe_function(env, wake_);
}

void Environment::unref(Napi::Env env) {
  if (--refs_ == 0 && !stopped_) napi_unref_threadsafe_function(env, wake_);
}

void Environment::adopt(std::shared_ptr<Stoppable> thread) { threads_.push_back(std::move(thread)); }

void Environment::reap() {
  std::erase_if(threads_, [](const auto& thread) {
    if (!thread->ended()) return false;
    thread->join();
    return true;
  });
}

void Environment::stop() {
  if (std::exchange(stopped_, true)) return;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (const auto& thread : threads_) thread->stop();
  for (const auto& thread : threads_) thread->join();
  threads_.clear();
  std::deque<Task> dropped;  // destroyed after the lock is released: a task may own an array whose destruction posts a task
  std::lock_guard lock(mutex_);
  dropped.swap(tasks_);
}

void Environment::run_posted(Napi::Env env) {
  std::deque<Task> tasks;
  {
    std::lock_guard lock(mutex_);
    woken_ = false;
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) run(env, task);
}

void Environment::run(Napi::Env env, const Task& task) {
  try {
    Napi::HandleScope scope(env);
    task(env);
  } catch (const Napi::Error& error) {
    napi_fatal_exception(env, error.Value());
  }
}

}  // namespace cellsam::binding
