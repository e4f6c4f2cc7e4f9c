#include "session.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <utility>

#include "convert.h"
#include "error.h"
#include "live.h"
#include "loader.h"

namespace cellsam::binding {

namespace {

// Destroys the session and gives free memory of the heap back to the system.
void close(std::shared_ptr<Session>& session) {
  session.reset();
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace

Napi::Function NativeSession::define(Napi::Env env) {
  return DefineClass(env, "Session",
                     {InstanceMethod<&NativeSession::open>("open"), InstanceMethod<&NativeSession::call>("call"),
                      InstanceMethod<&NativeSession::dispose>("dispose")});
}

NativeSession::NativeSession(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  guard(info.Env(), [&] { thread_ = JobThread::start(Environment::of(info.Env())); });
}

NativeSession::~NativeSession() {
  if (thread_) thread_->finish([slot = slot_] { close(*slot); });
}

Napi::Value NativeSession::open(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    auto& engine = loaded_engine();
    auto options = from_js(info[0], "options");
    return submit(
        info.Env(),
        [slot = slot_, &engine, options = std::move(options)](Control&) -> cellsam::Value {
          auto session = engine.open(options);
          if (!session) throw Error("ERR_INTERNAL", "the engine opened nothing");
          live().sessions++;
          *slot = std::shared_ptr<Session>(session.release(), [](Session* closing) {
            delete closing;
            live().sessions--;
          });
          return {};
        },
        info.Env().Undefined());
  });
}

Napi::Value NativeSession::call(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsString()) throw Error("ERR_INVALID_ARGUMENT", "command: must be a string");
    std::string command = info[0].As<Napi::String>();
    auto arguments = from_js(info[1], command);
    auto work = [slot = slot_, command, arguments = std::move(arguments)](Control& control) -> cellsam::Value {
      if (!*slot) throw Error("ERR_DISPOSED", command + ": the session is not open");
      return (*slot)->call(command, arguments, control);
    };
    const auto at_once = info[4].IsNumber() ? info[4].As<Napi::Number>().Int64Value() : 1;
    return submit(info.Env(), std::move(work), info[2], at_once, /*cancelled=*/info[3].ToBoolean());
  });
}

Napi::Value NativeSession::dispose(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    thread_->clear();
    auto closed = submit(
        info.Env(),
        [slot = slot_](Control&) -> cellsam::Value {
          close(*slot);
          return {};
        },
        info.Env().Undefined());
    thread_->finish();
    return closed.Get("promise");
  });
}

Napi::Object NativeSession::submit(Napi::Env env, Job::Work work, Napi::Value on_event, std::int64_t at_once, bool cancelled) {
  auto job = Job::create(env, std::move(work), on_event, at_once);
  if (cancelled) job->cancel();  // before its thread can start it
  auto handle = job->handle(env);
  thread_->submit(std::move(job));
  return handle;
}

}  // namespace cellsam::binding
