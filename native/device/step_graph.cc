#include "device/step_graph.h"

#include <c10/util/Exception.h>

#include <cstdint>

#include "base/cuda_operator.h"
#include "device/device_memory.h"

namespace cellsam::device {
namespace {

template <class Signature>
c10::TypedOperatorHandle<Signature> graph_operator(const char* name) {
  return cuda_operator<Signature>(name).value();
}

// A graph in libcellsam_cuda, which knows it by its number.
class Recorded {
 public:
  explicit Recorded(std::int64_t like) : number_(graph_operator<std::int64_t(std::int64_t)>("graph_begin").call(like)) {}
  ~Recorded() { graph_operator<void(std::int64_t)>("graph_close").call(number_); }
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;

  std::int64_t number() const { return number_; }
  void end() { graph_operator<void(std::int64_t)>("graph_end").call(number_); }

 private:
  std::int64_t number_;
};

class CudaGraph final : public StepGraph {
 public:
  explicit CudaGraph(std::shared_ptr<Recorded> graph)
      : graph_(std::move(graph)), replay_(graph_operator<void(std::int64_t)>("graph_replay")) {}

  void replay() override { replay_.call(graph_->number()); }

 private:
  std::shared_ptr<Recorded> graph_;
  c10::TypedOperatorHandle<void(std::int64_t)> replay_;
};

class CudaRecorder final : public StepRecorder {
 public:
  explicit CudaRecorder(c10::Device device) : device_(device) {}

  std::unique_ptr<StepGraph> record(const std::function<void()>& work) override {
    empty_cache(device_);  // a graph cannot use the memory that torch keeps for later
    const auto latest = latest_.lock();
    const auto graph = std::make_shared<Recorded>(latest ? latest->number() : 0);
    try {
      work();
    } catch (...) {
      // Otherwise the stream would go on recording. A second error about the failed recording adds nothing.
      try {
        graph->end();
      } catch (const c10::Error&) {
      }
      throw;
    }
    graph->end();
    latest_ = graph;
    return std::make_unique<CudaGraph>(graph);
  }

 private:
  c10::Device device_;
  std::weak_ptr<Recorded> latest_;  // graphs that exist at the same time share one memory pool
};

}  // namespace

std::unique_ptr<StepRecorder> step_recorder(c10::Device device) {
  if (!device.is_cuda() || !cuda_operator<std::int64_t(std::int64_t)>("graph_begin")) return nullptr;
  return std::make_unique<CudaRecorder>(device);
}

}  // namespace cellsam::device
