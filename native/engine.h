// The plain vocabulary between the two binaries, and the only header that both of them see.
//
// binding.node (N-API, no libtorch) opens libcellsam_engine.so (libtorch, no N-API) at run time and talks to it through the
// two abstract classes below. No torch type and no napi type may appear here: that is what lets binding.node load in
// milliseconds on a machine without libtorch. Requests and answers are `Value`s: JSON with arrays of numbers in it.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

// CELLSAM_API: a symbol that a binary is opened for. CELLSAM_SHARED_TYPE: a class that is thrown from one binary to the other,
// which ELF and Mach-O know again by the address of its type information, and Windows by its name.
#if defined(_WIN32)
#define CELLSAM_API __declspec(dllexport)
#define CELLSAM_SHARED_TYPE
#else
#define CELLSAM_API __attribute__((visibility("default")))
#define CELLSAM_SHARED_TYPE __attribute__((visibility("default")))
#endif

namespace cellsam {

enum class Dtype : std::uint8_t { u8, u16, i32, f32, f64 };

constexpr std::size_t item_size(Dtype dtype) {
  switch (dtype) {
    case Dtype::u8: return 1;
    case Dtype::u16: return 2;
    case Dtype::f64: return 8;
    default: return 4;
  }
}

// A dense, row-major array of numbers. `owner` keeps `data` alive: a JS typed array, a torch tensor or a plain buffer.
struct Array {
  Dtype dtype = Dtype::u8;
  std::vector<std::int64_t> shape;
  void* data = nullptr;
  std::shared_ptr<void> owner;

  std::int64_t numel() const {
    std::int64_t n = 1;
    for (auto side : shape) n *= side;
    return n;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * item_size(dtype); }
};

struct Value;
using List = std::vector<Value>;
using Dict = std::map<std::string, Value>;

struct Value : std::variant<std::monostate, bool, double, std::string, Array, List, Dict> {
  using variant::variant;
  Value(int number) : variant(static_cast<double>(number)) {}
  Value(std::int64_t number) : variant(static_cast<double>(number)) {}
  Value(std::size_t number) : variant(static_cast<double>(number)) {}
  Value(const char* text) : variant(std::string(text)) {}

  template <class T>
  const T* as() const {
    return std::get_if<T>(static_cast<const variant*>(this));
  }
  bool is_null() const { return index() == 0; }
};

// What a caller of the package sees as CellsamError: a stable code, a message that says what to do, and facts about the case.
class CELLSAM_SHARED_TYPE Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message, Dict detail = {})
      : std::runtime_error(message), code(std::move(code)), detail(std::move(detail)) {}
  std::string code;
  Dict detail;
};

// The caller's side of a running command: may ask it to stop, and hears of its progress. All of it is safe on any thread.
class Control {
 public:
  virtual ~Control() = default;
  // The caller wants the command to end where its work so far can be kept: training finishes its step.
  virtual bool cancelled() const = 0;
  // Nobody will use what the command does (its session is disposed of, or the process ends): it ends as soon as it can, with
  // ERR_DISPOSED. Implies cancelled().
  virtual bool abandoned() const = 0;
  virtual void emit(Value event) = 0;
};

// One model with its optimiser and its counters. Not thread-safe: the binding runs its commands one after another.
class Session {
 public:
  virtual ~Session() = default;
  virtual Value call(std::string_view command, const Value& arguments, Control& control) = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual Value call(std::string_view command, const Value& arguments) = 0;
  virtual std::unique_ptr<Session> open(const Value& options) = 0;
};

// The engine's single exported symbol. `abi` is the caller's kEngineAbi; the answer is null when they differ.
constexpr int kEngineAbi = 2;
using EngineEntry = Engine* (*)(int abi);
constexpr const char* kEngineEntryName = "cellsam_engine";

}  // namespace cellsam
