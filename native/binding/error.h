// Turns exceptions of native code into JavaScript errors with a code, a message and details. The engine has turned those of
// libtorch (c10::Error), whose type is not known here, into cellsam::Error.
#pragma once

#include <napi.h>

#include <exception>
#include <string>

#include "engine.h"

namespace cellsam::binding {

struct Failure {
  std::string code;
  std::string message;
  Dict detail;
};

// The code, message and details of an exception. Call it where the
// exception was caught; the result may be used on another thread.
Failure describe(const std::exception_ptr& thrown);

// A JavaScript Error with the properties `code` and `detail`.
Napi::Error to_error(Napi::Env env, const Failure& failure);

// Runs the body of an exported function and rethrows its exceptions as JavaScript exceptions.
template <class Body>
auto guard(Napi::Env env, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;  // already a JavaScript exception, e.g. of a getter
  } catch (...) {
    throw to_error(env, describe(std::current_exception()));
  }
}

}  // namespace cellsam::binding
