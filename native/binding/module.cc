// The exports of binding.node. lib/engine/native.ts declares them for TypeScript.
#include <napi.h>

#include <mutex>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "convert.h"
#include "driver.h"
#include "environment.h"
#include "error.h"
#include "file_lock.h"
#include "job.h"
#include "job_thread.h"
#include "live.h"
#include "loader.h"
#include "session.h"

namespace cellsam::binding {

namespace {

std::string text_of(const Napi::Object& options, const char* name) {
  const Napi::Value value = options.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

// loadEngine({engine, libtorch?, torch?})
void load(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    if (!info[0].IsObject()) throw Error("ERR_INVALID_ARGUMENT", "loadEngine: expected an object of options");
    const auto options = info[0].As<Napi::Object>();
    load_engine({text_of(options, "engine"), text_of(options, "libtorch"), text_of(options, "torch")});
  });
}

std::string command_of(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) throw Error("ERR_INVALID_ARGUMENT", "command: must be a string");
  return info[0].As<Napi::String>();
}

// engineCall(command, arguments) -> result
Napi::Value engine_call(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] {
    const auto command = command_of(info);
    return to_js(info.Env(), loaded_engine().call(command, from_js(info[1], command)));
  });
}

// engineCallAsync(command, arguments) -> {promise, cancel}
Napi::Value engine_call_async(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const auto command = command_of(info);
    auto& engine = loaded_engine();
    auto work = [&engine, command, arguments = from_js(info[1], command)](Control&) { return engine.call(command, arguments); };
    const auto thread = JobThread::start(Environment::of(info.Env()));
    auto job = Job::create(info.Env(), std::move(work), info.Env().Undefined());
    auto handle = job->handle(info.Env());
    thread->submit(std::move(job));
    thread->finish();
    return handle;
  });
}

Napi::Value driver(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&] { return to_js(info.Env(), driver_info()); });
}

Napi::Value live_objects(const Napi::CallbackInfo& info) {
  const auto& counts = live();
  return to_js(info.Env(), Dict{{"sessions", counts.sessions.load()},
                                {"jobs", counts.jobs.load()},
                                {"borrowed", counts.borrowed.load()},
                                {"lent", counts.lent.load()}});
}

// Stops and joins this environment's threads; for process.on("exit").
void shutdown(const Napi::CallbackInfo& info) { Environment::of(info.Env())->stop(); }

// Activations are allocated and freed in every step. With glibc's own thresholds, which change, each of them may be mapped anew
// and cleared by the kernel, which took a seventh of a training step of a small model. malloc_trim (session.cc) gives the
// memory of disposed sessions back to the system.
void tune_allocator() {
#ifdef __GLIBC__
  static std::once_flag once;
  std::call_once(once, [] {
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
  });
#endif
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  tune_allocator();
  Environment::create(env);
  exports.Set("loadEngine", Napi::Function::New(env, load, "loadEngine"));
  exports.Set("engineCall", Napi::Function::New(env, engine_call, "engineCall"));
  exports.Set("engineCallAsync", Napi::Function::New(env, engine_call_async, "engineCallAsync"));
  exports.Set("Session", NativeSession::define(env));
  exports.Set("FileLock", FileLock::define(env));
  exports.Set("driver", Napi::Function::New(env, driver, "driver"));
  exports.Set("liveObjects", Napi::Function::New(env, live_objects, "liveObjects"));
  exports.Set("shutdown", Napi::Function::New(env, shutdown, "shutdown"));
  return exports;
}

}  // namespace

}  // namespace cellsam::binding

// The macro needs a name without a namespace.
static Napi::Object init_module(Napi::Env env, Napi::Object exports) { return cellsam::binding::init(env, exports); }
NODE_API_MODULE(binding, init_module)
