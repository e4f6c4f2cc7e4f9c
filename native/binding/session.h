// The JavaScript object around one engine session. Its commands run one after another on a thread of their own, on which the
// engine session is also opened and destroyed.
#pragma once

#include <napi.h>

#include <memory>

#include "engine.h"
#include "job.h"

namespace cellsam::binding {

class NativeSession final : public Napi::ObjectWrap<NativeSession> {
 public:
  static Napi::Function define(Napi::Env env);

  explicit NativeSession(const Napi::CallbackInfo& info);
  // Garbage collection of a session that nobody disposed of: lets queued jobs finish, blocks nothing.
  ~NativeSession() override;

 private:
  // Filled and emptied on the job thread only.
  using Slot = std::shared_ptr<std::shared_ptr<Session>>;

  Napi::Value open(const Napi::CallbackInfo& info);     // open(options) -> {promise, cancel}
  Napi::Value call(const Napi::CallbackInfo& info);     // call(command, arguments, onEvent?, cancelled?) -> {promise, cancel}
  Napi::Value dispose(const Napi::CallbackInfo& info);  // dispose() -> promise

  Napi::Object submit(Napi::Env env, Job::Work work, Napi::Value on_event, bool cancelled = false);

  Slot slot_ = std::make_shared<std::shared_ptr<Session>>();
  std::shared_ptr<JobThread> thread_;
};

}  // namespace cellsam::binding
