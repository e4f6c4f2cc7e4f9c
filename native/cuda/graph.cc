// The operators cellsam_cuda::graph_...: what a thread starts on its stream, recorded as a CUDA graph and started again by one
// call. A recording is known by a number, which is its address.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>
#include <torch/version.h>

#include <cstdint>
#include <memory>

#include "cuda/recording.h"

namespace cellsam::cuda {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

constexpr bool kGraphReleasesPool = TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 14;  // also of a failed recording

struct Recording {
  InRoom<at::cuda::CUDAGraph> graph;
  c10::MempoolId_t pool;
  c10::DeviceIndex device;

  template <class Step>
  void take(Step step) {
    const auto end_pool = [&] { allocator::endAllocateToPool(device, pool); };
    const auto release_pool = [&] {
      if (!kGraphReleasesPool) allocator::releasePool(device, pool);
    };
    leaving_no_pool(step, end_pool, release_pool);
  }
};

Recording* recording_of(std::int64_t number) { return reinterpret_cast<Recording*>(number); }

// Begins a recording on the current stream, which must not be the default one. `like`: a living recording whose pool of memory
// this one shares, as they never run side by side; 0: a pool of its own.
std::int64_t graph_begin(std::int64_t like) {
  auto recording = std::make_unique<Recording>();
  recording->pool = like == 0 ? at::cuda::graph_pool_handle() : recording_of(like)->pool;
  recording->device = c10::cuda::getCurrentCUDAStream().device_index();
  // Other threads, those that load batches into pinned memory among them, may do as they like meanwhile.
  recording->take([&] { recording->graph->capture_begin(recording->pool, cudaStreamCaptureModeThreadLocal); });
  return reinterpret_cast<std::int64_t>(recording.release());
}

// On the thread and stream that began it. Throws when something was started meanwhile that cannot be recorded.
void graph_end(std::int64_t number) {
  auto& recording = *recording_of(number);
  recording.take([&] { recording.graph->capture_end(); });
}

void graph_replay(std::int64_t number) { recording_of(number)->graph->replay(); }

void graph_close(std::int64_t number) { delete recording_of(number); }

}  // namespace
}  // namespace cellsam::cuda

TORCH_LIBRARY_FRAGMENT(cellsam_cuda, library) {
  library.def("graph_begin(int like) -> int", TORCH_FN(cellsam::cuda::graph_begin));
  library.def("graph_end(int graph) -> ()", TORCH_FN(cellsam::cuda::graph_end));
  library.def("graph_replay(int graph) -> ()", TORCH_FN(cellsam::cuda::graph_replay));
  library.def("graph_close(int graph) -> ()", TORCH_FN(cellsam::cuda::graph_close));
}
