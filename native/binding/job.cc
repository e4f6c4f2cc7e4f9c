#include "job.h"

#include <utility>

#include "convert.h"
#include "live.h"

namespace cellsam::binding {

namespace {

// More events than are queued unless the event loop is blocked. The event of a step takes about 2 KB, so this is 20 MB.
constexpr std::size_t kMostEvents = 10'000;

}  // namespace

std::shared_ptr<Job> Job::create(Napi::Env env, Work work, Napi::Value on_event, std::int64_t at_once) {
  if (!on_event.IsUndefined() && !on_event.IsFunction()) {
    throw Error("ERR_INVALID_ARGUMENT", "onEvent: must be a function");
  }
  return std::make_shared<Job>(Private{}, env, std::move(work), on_event, at_once);
}

Job::Job(Private, Napi::Env env, Work work, Napi::Value on_event, std::int64_t at_once)
    : environment_(Environment::of(env)),
      work_(std::move(work)),
      at_once_(at_once),
      has_listener_(on_event.IsFunction()),
      deferred_(Napi::Promise::Deferred::New(env)) {
  if (has_listener_) napi_create_reference(env, on_event, 1, &on_event_);
  environment_->ref(env);
  live().jobs++;
}

Job::~Job() {
  if (!settled_) live().jobs--;
}

Napi::Object Job::handle(Napi::Env env) {
  auto handle = Napi::Object::New(env);
  handle.Set("promise", deferred_.Promise());
  handle.Set("cancel", Napi::Function::New(env, [self = shared_from_this()](const Napi::CallbackInfo&) { self->cancel(); }));
  return handle;
}

void Job::run() {
  try {
    result_ = work_(*this);
  } catch (...) {
    failure_ = describe(std::current_exception());
  }
  // Whatever became of the work: every command of a disposed session has the same result.
  if (abandoned_) failure_ = Failure{"ERR_DISPOSED", "the session was disposed of while the command ran", {}};
  conclude();
}

void Job::reject(Failure failure) {
  failure_ = std::move(failure);
  conclude();
}

void Job::conclude() {
  work_ = nullptr;  // releases the arguments before the promise settles
  environment_->post([self = shared_from_this()](Napi::Env env) { self->settle(env); });
}

void Job::abandon() {
  {
    std::lock_guard lock(mutex_);
    abandoned_ = true;
  }
  taken_.notify_all();
}

void Job::emit(Value event) {
  if (!has_listener_) return;
  bool first;
  {
    std::unique_lock lock(mutex_);
    taken_.wait(lock, [this] { return events_.size() < kMostEvents || abandoned_; });
    if (abandoned_) return;
    first = events_.empty();
    events_.push_back(std::move(event));
  }
  if (first) environment_->post([self = shared_from_this()](Napi::Env env) { self->deliver(env); });
}

void Job::deliver(Napi::Env env) {
  std::deque<Value> events;
  {
    std::lock_guard lock(mutex_);
    events.swap(events_);
  }
  taken_.notify_all();
  if (on_event_ == nullptr) return;
  napi_value listener = nullptr;
  napi_get_reference_value(env, on_event_, &listener);
  for (const auto& event : events) {
    Environment::run(env, [&](Napi::Env running) { Napi::Function(running, listener).Call({to_js(running, event)}); });
  }
}

// It is posted after all deliveries of this job, so that the promise settles after the last event.
void Job::settle(Napi::Env env) {
  settled_ = true;
  live().jobs--;
  environment_->unref(env);
  environment_->reap();
  if (on_event_ != nullptr) napi_delete_reference(env, std::exchange(on_event_, nullptr));
  try {
    if (!failure_) {
      deferred_.Resolve(to_js(env, std::exchange(result_, {})));
      return;
    }
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    failure_ = describe(std::current_exception());
  }
  deferred_.Reject(to_error(env, *failure_).Value());
}

}  // namespace cellsam::binding
