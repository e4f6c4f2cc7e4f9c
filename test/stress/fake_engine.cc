// An engine without libtorch, for the tests of the binding: its commands sleep, loop, emit, throw and hand arrays back.
// It is a library, not a program: engine.ts beside it makes build/test/libfake_engine.so of this one file.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <new>
#include <system_error>
#include <thread>

#include "engine.h"

namespace cellsam {
namespace {

using Clock = std::chrono::steady_clock;

double number(const Value& arguments, const std::string& name, double fallback) {
  const auto* dict = arguments.as<Dict>();
  if (dict == nullptr) return fallback;
  const auto found = dict->find(name);
  const auto* value = found == dict->end() ? nullptr : found->second.as<double>();
  return value == nullptr ? fallback : *value;
}

Value item(const Value& arguments, const std::string& name) {
  const auto* dict = arguments.as<Dict>();
  const auto found = dict == nullptr ? Dict::const_iterator{} : dict->find(name);
  return dict == nullptr || found == dict->end() ? Value() : found->second;
}

// Spins, like a step of training: sleeping would leave the processor to the event loop and prove nothing about its delay.
void burn(double milliseconds) {
  const auto end = Clock::now() + std::chrono::duration<double, std::milli>(milliseconds);
  volatile double sink = 0;
  while (Clock::now() < end) sink = sink + std::sqrt(sink + 1);
}

[[noreturn]] void fail(const Value& arguments) {
  const auto kind = item(arguments, "kind");
  const auto* text = kind.as<std::string>();
  if (text != nullptr && *text == "bad_alloc") throw std::bad_alloc();
  if (text != nullptr && *text == "exception") throw std::runtime_error("plain exception");
  if (text != nullptr && *text == "threads") {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  }
  if (text != nullptr && *text == "number") throw 7;
  throw Error("ERR_FAKE", "told to fail", {{"image", "a.png"}, {"step", 3}, {"sizes", List{1, 2}}});
}

// {count: n} -> f32 [n], element i is i, memory owned by the answer.
Value ramp(const Value& arguments) {
  const auto count = static_cast<std::int64_t>(number(arguments, "count", 4));
  auto memory = std::make_shared<std::vector<float>>(count);
  for (std::int64_t i = 0; i < count; i++) (*memory)[i] = static_cast<float>(i);
  return Dict{{"array", Array{Dtype::f32, {count}, memory->data(), memory}}};
}

// Adds up an array of any dtype, so that a test can tell that the bytes were read and not only passed through.
Value sum(const Value& arguments) {
  const auto value = item(arguments, "array");
  const auto* array = value.as<Array>();
  if (array == nullptr) throw Error("ERR_INVALID_ARGUMENT", "sum: array is missing");
  double total = 0;
  for (std::int64_t i = 0; i < array->numel(); i++) {
    switch (array->dtype) {
      case Dtype::u8: total += static_cast<const std::uint8_t*>(array->data)[i]; break;
      case Dtype::u16: total += static_cast<const std::uint16_t*>(array->data)[i]; break;
      case Dtype::i32: total += static_cast<const std::int32_t*>(array->data)[i]; break;
      case Dtype::f32: total += static_cast<const float*>(array->data)[i]; break;
      case Dtype::f64: total += static_cast<const double*>(array->data)[i]; break;
    }
  }
  return Dict{
      {"sum", total}, {"dtype", static_cast<int>(array->dtype)}, {"shape", List(array->shape.begin(), array->shape.end())}};
}

// Stands in for libtorch's static objects: whoever still computes while the process destroys them crashes, and takes its time.
std::atomic<bool> torn_down{false};
struct Statics {
  ~Statics() {
    torn_down = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
} statics;

// How many steps were made since `reset_steps`.
std::atomic<int> steps_made{0};

// {steps, ms}: returns when so many were made, or after so long, how many it were. It blocks the thread that asks.
Value await_steps(const Value& arguments) {
  const auto end = Clock::now() + std::chrono::duration<double, std::milli>(number(arguments, "ms", 10'000));
  while (steps_made < number(arguments, "steps", 0) && Clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return Dict{{"steps", steps_made.load()}};
}

class FakeSession final : public Session {
 public:
  explicit FakeSession(Value options) : options_(std::move(options)) {}

  Value call(std::string_view command, const Value& arguments, Control& control) override {
    if (command == "train_epoch") return train(arguments, control);
    if (command == "validate" || command == "predict") return wait(arguments, control);
    if (command == "concurrency") return number(options_, "concurrency", 1);
    if (command == "meet") return meet(arguments, control);
    if (command == "waiting") return Dict{{"now", waiting.load()}, {"most", met.exchange(0)}};
    if (command == "options") return options_;
    if (command == "echo") return arguments;
    if (command == "stubborn") {
      control.emit(Dict{{"type", "begin"}});
      burn(number(arguments, "ms", 10));
      return arguments;
    }
    if (command == "fail") fail(arguments);
    if (command == "digest") return Dict{{"some_layer.weight_v", "00ff"}, {"plain_name", "11ee"}};
    if (command == "keep") {
      kept_ = arguments;
      return {};
    }
    throw Error("ERR_INVALID_ARGUMENT", "unknown command " + std::string(command));
  }

 private:
  // {steps, step_ms}: one event per step; cancel ends it after the current step, and so does an end that nobody waits for.
  static Value train(const Value& arguments, Control& control) {
    const int steps = static_cast<int>(number(arguments, "steps", 10));
    int step = 0;
    while (step < steps && !control.cancelled()) {
      burn(number(arguments, "step_ms", 1));
      if (torn_down) std::abort();
      if (control.abandoned()) throw Error("ERR_DISPOSED", "abandoned");
      step++;
      steps_made++;
      control.emit(Dict{{"type", "step"},
                        {"step", step},
                        {"steps", steps},
                        {"images_per_second", 1.5},
                        {"losses", Dict{{"total_loss", 1.0 / step}, {"loss_ce", 0.5}}}});
      if (step == steps / 2) control.emit(Dict{{"type", "notice"}, {"message", "half way"}});
    }
    return Dict{{"stopped", step < steps}, {"step", step}, {"steps", steps}, {"losses", Dict{{"total_loss", 0.1}}}};
  }

  static Value wait(const Value& arguments, Control& control) {
    const auto end = Clock::now() + std::chrono::duration<double, std::milli>(number(arguments, "ms", 10));
    while (Clock::now() < end) stop_or_sleep(control);
    return Dict{{"images", 1}, {"seconds", 0.5}, {"losses", Dict{{"total_loss", 2.0}}}};
  }

  // {others, kind?}: returns, or fails, when so many others wait at the same time; how many there were in all, or have been.
  static Value meet(const Value& arguments, Control& control) {
    struct Waiting {
      Waiting() { ++waiting; }
      ~Waiting() { --waiting; }
    } counted;
    met = std::max(met.load(), waiting.load());
    while (met <= number(arguments, "others", 0)) stop_or_sleep(control);
    if (!item(arguments, "kind").is_null()) fail(arguments);
    return met.load();
  }

  static void stop_or_sleep(const Control& control) {
    if (control.cancelled()) throw Error("ERR_CANCELLED", "cancelled");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  static inline std::atomic<int> waiting{0}, met{0};

  Value options_;
  Value kept_;
};

class FakeEngine final : public Engine {
 public:
  Value call(std::string_view command, const Value& arguments) override {
    if (command == "echo") return arguments;
    if (command == "fail") fail(arguments);
    if (command == "ramp") return ramp(arguments);
    if (command == "sum") return sum(arguments);
    if (command == "await_steps") return await_steps(arguments);
    if (command == "reset_steps") return steps_made.exchange(0);
    if (command == "burn") burn(number(arguments, "ms", 10));
    return Dict{{"torch", "none"}};
  }
  std::unique_ptr<Session> open(const Value& options) override {
    if (number(options, "fail", 0) != 0) fail(options);
    return std::make_unique<FakeSession>(options);
  }
};

}  // namespace
}  // namespace cellsam

extern "C" CELLSAM_API cellsam::Engine* cellsam_engine(int abi) {
  static cellsam::FakeEngine engine;
  return abi == cellsam::kEngineAbi ? &engine : nullptr;
}
