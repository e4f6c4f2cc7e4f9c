// What a thread starts on a GPU, recorded once and from then on started by a single call instead of one for each operation. The
// recording itself is libcellsam_cuda's, as it needs CUDA's headers.
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

  // Does on this thread's current stream what was recorded: the same operations on the same memory.
  virtual void replay() = 0;
};

class StepRecorder {
 public:
  virtual ~StepRecorder() = default;

  // Calls `work` and records what it starts, on a current stream that is not the default one. Nothing of it is done yet: the
  // tensors that `work` makes hold numbers after the first replay, and belong to the graph. They share memory with those of
  // the recorder's other graphs: only the latest replay's are to be read. `work` must have run before on this thread; what it
  // waits for or takes from the host cannot be recorded, and is a c10::Error.
  virtual std::unique_ptr<StepGraph> record(const std::function<void()>& work) = 0;
};

// Nothing where nothing can be recorded: on the CPU, and without libcellsam_cuda.
std::unique_ptr<StepRecorder> step_recorder(c10::Device device);

}  // namespace cellsam::device
