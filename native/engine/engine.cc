// The engine's exported symbol: it runs commands that need no session, and opens sessions. Every exception that leaves it is a
// cellsam::Error, since binding.node does not know those of torch.
#include <c10/util/Exception.h>

#include <atomic>

#include "base/options.h"
#include "device/cuda_library.h"
#include "device/device.h"
#include "device/device_memory.h"
#include "engine.h"
#include "engine/candidates.h"
#include "engine/losses.h"
#include "engine/metrics.h"
#include "engine/option_names.h"
#include "engine/process_group_session.h"
#include "engine/session.h"
#include "engine/store_writer.h"
#include "model/model_size.h"

namespace cellsam::engine {
namespace {

template <class Body>
auto translate_errors(Body body) {
  try {
    return body();
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& error) {
    if (device::is_out_of_memory(error)) {
      throw Error("ERR_OUT_OF_MEMORY", std::string("out of memory; lower batch_size, prompt_chunk or the tile size. ") +
                                           error.what_without_backtrace());
    }
    throw Error("ERR_TORCH", error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw Error("ERR_OUT_OF_MEMORY", "out of memory; lower batch_size, prompt_chunk or the tile size");
  }
}

std::atomic<std::int64_t> live_sessions{0};

// Counts the open sessions and translates the errors of the session inside.
class GuardedSession final : public Session {
 public:
  explicit GuardedSession(std::unique_ptr<Session> inner) : inner_(std::move(inner)) { ++live_sessions; }
  ~GuardedSession() override { --live_sessions; }
  Value call(std::string_view command, const Value& arguments, Control& control) override {
    return translate_errors([&] { return inner_->call(command, arguments, control); });
  }

 private:
  std::unique_ptr<Session> inner_;
};

class TorchEngine final : public Engine {
 public:
  Value call(std::string_view command, const Value& arguments) override {
    return translate_errors([&]() -> Value {
      if (command == "info") {
        auto info = device::describe_devices();
        info["live_objects"] = live_sessions.load();
        info["cuda_kernels"] = device::describe_cuda_library();
        return info;
      }
      if (command == "options") return option_names();
      if (command == "sizes") {
        List sizes;
        for (const auto& size : model::model_sizes()) sizes.push_back(model::describe(size));
        return sizes;
      }
      if (device::is_device_command(command)) {
        Options options(arguments, std::string(command));
        return device::call_device(command, options);
      }
      if (is_loss_command(command)) return call_loss(command, arguments);
      if (is_candidates_command(command)) return call_candidates(command, arguments);
      if (is_metric_command(command)) return call_metric(command, arguments);
      throw Error("ERR_INVALID_ARGUMENT", "unknown engine command " + std::string(command));
    });
  }

  std::unique_ptr<Session> open(const Value& arguments) override {
    return translate_errors([&]() -> std::unique_ptr<Session> {
      Options options(arguments, "open");
      const auto kind = options.require_text("kind");
      if (kind == "model") return std::make_unique<GuardedSession>(open_model(options));
      if (kind == "store_writer") return std::make_unique<GuardedSession>(open_store_writer(options));
      if (kind == "process_group") return std::make_unique<GuardedSession>(open_process_group(options));
      throw Error("ERR_INVALID_ARGUMENT", "open: unknown kind " + kind);
    });
  }
};

}  // namespace
}  // namespace cellsam::engine

extern "C" CELLSAM_API cellsam::Engine* cellsam_engine(int abi) {
  static cellsam::engine::TorchEngine engine;
  if (abi != cellsam::kEngineAbi) return nullptr;
  cellsam::device::load_cuda_library();
  return &engine;
}
