// CUDA graphs: the operations that a thread starts on a GPU are recorded once, and from then on started by one call for all of
// them. libcellsam_cuda does the recording, as it needs CUDA's headers.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace cellsam::device {

struct GraphCounts {
  std::int64_t recorded = 0, replayed = 0;
};

class StepGraph {
 public:
  virtual ~StepGraph() = default;

  // Runs the recorded operations, on the same memory, on this thread's current stream.
  virtual void replay() = 0;
};

class StepRecorder {
 public:
  virtual ~StepRecorder() = default;

  // Calls `work` and records the operations that it starts, without running them: the tensors that `work` makes have values
  // after the first replay. They belong to the graph and share memory with those of the recorder's other graphs, so read only
  // those of the latest replay. The current stream must not be the default one, and `work` must have run on this thread before.
  // Throws c10::Error for what cannot be recorded: waiting for the device, or copies between it and pageable host memory.
  virtual std::unique_ptr<StepGraph> record(const std::function<void()>& work) = 0;
};

// Null where nothing can be recorded: on the CPU, and without libcellsam_cuda.
std::unique_ptr<StepRecorder> step_recorder(c10::Device device);

}  // namespace cellsam::device
