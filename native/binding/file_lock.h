// The JavaScript class of a locked file. The system frees the lock when the object is collected or its process ends, however
// that happens.
#pragma once

#include <napi.h>

#include "os/file.h"

namespace cellsam::binding {

class FileLock final : public Napi::ObjectWrap<FileLock> {
 public:
  static Napi::Function define(Napi::Env env);

  // FileLock(path): opens the file, which is made if there is none, and locks it without waiting. `state` then is "held",
  // "taken" by another object or process, or "unsupported" by the file system. Throws ERR_IO when it cannot be opened.
  explicit FileLock(const Napi::CallbackInfo& info);

 private:
  Napi::Value state(const Napi::CallbackInfo& info);
  void write(const Napi::CallbackInfo& info);  // write(text): replaces the content. Throws ERR_IO
  void release(const Napi::CallbackInfo& info);

  os::File file_;
  const char* state_ = "taken";
};

}  // namespace cellsam::binding
