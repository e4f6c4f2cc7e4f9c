#include "file_lock.h"

#include <string>
#include <system_error>

#include "engine.h"
#include "error.h"

namespace cellsam::binding {

namespace {

Error io_error(const std::error_code& error) { return {"ERR_IO", error.message()}; }

}  // namespace

Napi::Function FileLock::define(Napi::Env env) {
  return DefineClass(env, "FileLock",
                     {InstanceAccessor<&FileLock::state>("state"), InstanceMethod<&FileLock::write>("write"),
                      InstanceMethod<&FileLock::release>("release")});
}

FileLock::FileLock(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  guard(info.Env(), [&] {
    if (!info[0].IsString()) throw Error("ERR_INVALID_ARGUMENT", "FileLock: expected a path");
    std::error_code error;
    file_ = os::File(info[0].As<Napi::String>(), os::Access::update, error);
    if (error) throw io_error(error);
    if (file_.try_lock(os::Lock::exclusive, error)) {
      state_ = "held";
    } else {
      if (error) state_ = "unsupported";
      file_.close();
    }
  });
}

Napi::Value FileLock::state(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), state_); }

void FileLock::write(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const std::string text = info[0].As<Napi::String>();
    std::error_code error;
    if (!file_.resize(0, error) || !file_.write(text.data(), static_cast<std::int64_t>(text.size()), 0, error) ||
        !file_.sync(error)) {
      throw io_error(error);
    }
  });
}

void FileLock::release(const Napi::CallbackInfo&) { file_.close(); }

}  // namespace cellsam::binding
