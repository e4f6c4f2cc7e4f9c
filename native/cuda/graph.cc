// The operators cellsam_cuda::graph_...: what a thread starts on its stream, recorded as a CUDA graph and started again by one
// call. A graph is known by a number, which is its address.
#include <ATen/cuda/CUDAGraph.h>
#include <torch/library.h>

#include <cstdint>
#include <memory>

namespace cellsam::cuda {
namespace {

using at::cuda::CUDAGraph;

CUDAGraph* graph_of(std::int64_t number) { return reinterpret_cast<CUDAGraph*>(number); }

// Begins a recording on the current stream, which must not be the default one. `like`: a living graph whose pool of memory
// this one shares, as they never run side by side; 0: a pool of its own.
std::int64_t graph_begin(std::int64_t like) {
  auto graph = std::make_unique<CUDAGraph>();
  // Other threads, those that load batches into pinned memory among them, may do as they like meanwhile.
  graph->capture_begin(like == 0 ? c10::MempoolId_t{0, 0} : graph_of(like)->pool(), cudaStreamCaptureModeThreadLocal);
  return reinterpret_cast<std::int64_t>(graph.release());
}

// On the thread and stream that began it. Throws when something was started meanwhile that cannot be recorded.
void graph_end(std::int64_t graph) { graph_of(graph)->capture_end(); }

void graph_replay(std::int64_t graph) { graph_of(graph)->replay(); }

void graph_close(std::int64_t graph) { delete graph_of(graph); }

}  // namespace
}  // namespace cellsam::cuda

TORCH_LIBRARY_FRAGMENT(cellsam_cuda, library) {
  library.def("graph_begin(int like) -> int", TORCH_FN(cellsam::cuda::graph_begin));
  library.def("graph_end(int graph) -> ()", TORCH_FN(cellsam::cuda::graph_end));
  library.def("graph_replay(int graph) -> ()", TORCH_FN(cellsam::cuda::graph_replay));
  library.def("graph_close(int graph) -> ()", TORCH_FN(cellsam::cuda::graph_close));
}
