// The one catch boundary: every exception that native code can throw becomes a code, a message and facts, and those become
// one JavaScript Error. Errors of libtorch (c10::Error) are turned into cellsam::Error by the engine, which can see their type.
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

// What an exception says. Call it where the exception was caught; the answer may travel to another thread.
Failure describe(const std::exception_ptr& thrown);

// A JavaScript Error with the properties `code` and `detail`.
Napi::Error to_error(Napi::Env env, const Failure& failure);

// Runs the body of an exported function; whatever it throws leaves as a JavaScript exception.
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
