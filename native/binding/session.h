// The JavaScript class of an engine session. A thread of its own opens the engine session, runs its commands in their order,
// and destroys it.
#pragma once

#include <napi.h>

#include <memory>

#include "engine.h"
#include "job.h"
#include "job_thread.h"

namespace cellsam::binding {

class NativeSession final : public Napi::ObjectWrap<NativeSession> {
 public:
  static Napi::Function define(Napi::Env env);

  explicit NativeSession(const Napi::CallbackInfo& info);
  // For the garbage collection of a session that was not disposed of: queued jobs finish, without blocking.
  ~NativeSession() override;

 private:
  // Set on the job thread only, while no other job runs.
  using Slot = std::shared_ptr<std::shared_ptr<Session>>;

  Napi::Value open(const Napi::CallbackInfo& info);     // open(options) -> {promise, cancel}
  Napi::Value call(const Napi::CallbackInfo& info);     // call(command, arguments, onEvent?, cancelled?, atOnce?)
  Napi::Value dispose(const Napi::CallbackInfo& info);  // dispose() -> promise

  Napi::Object submit(Napi::Env env, Job::Work work, Napi::Value on_event, std::int64_t at_once = 1, bool cancelled = false);

  Slot slot_ = std::make_shared<std::shared_ptr<Session>>();
  std::shared_ptr<JobThread> thread_;
};

}  // namespace cellsam::binding
