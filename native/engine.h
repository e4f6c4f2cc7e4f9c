// The interface between the two binaries, and the only header that both of them include.
//
// binding.node (N-API, no libtorch) opens libcellsam_engine.so (libtorch, no N-API) at run time and calls it through the
// classes Engine and Session below. No type of torch or N-API may appear here, so that binding.node loads in milliseconds, and
// on a machine without libtorch too. Arguments and results are `Value`s: JSON with arrays of numbers.
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

// CELLSAM_API: a symbol that a binary exports. CELLSAM_SHARED_TYPE: a class that is thrown from one binary to the other. On ELF
// and Mach-O it is recognised by the address of its type information, which must be exported, on Windows by its name.
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

// A dense, row-major array of numbers. `owner` keeps `data` alive: it holds a JavaScript typed array, a tensor or a buffer.
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

// Becomes a CellsamError in JavaScript: a stable code, a message that says what to do, and facts about the case.
class CELLSAM_SHARED_TYPE Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message, Dict detail = {})
      : std::runtime_error(message), code(std::move(code)), detail(std::move(detail)) {}
  std::string code;
  Dict detail;
};

// How a caller controls a running command and receives its progress. Every method may be called from any thread.
class Control {
 public:
  virtual ~Control() = default;
  // Whether the command should stop where its work so far can be kept: training finishes its step.
  virtual bool cancelled() const = 0;
  // Whether nobody will use the command's result any more, as the session is disposed of or the process ends: the command
  // throws ERR_DISPOSED as soon as it can. Implies cancelled().
  virtual bool abandoned() const = 0;
  virtual void emit(Value event) = 0;
};

// State that commands work on: a model with its optimiser, or a store that is being written. The binding runs
// its commands one after another, but for those of which the command `concurrency` says that several may run at a time.
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

// The engine's only exported symbol. `abi` is the caller's kEngineAbi;
// the function returns null when it is not the engine's own.
constexpr int kEngineAbi = 2;
using EngineEntry = Engine* (*)(int abi);
constexpr const char* kEngineEntryName = "cellsam_engine";

}  // namespace cellsam
