// As much of torch's CUDA graphs as native/cuda/graph.cc asks for.
#pragma once

#include <c10/core/CachingDeviceAllocator.h>
#include <cuda_runtime_api.h>

#include <cstdint>

namespace at::cuda {

__attribute__((visibility("default"))) c10::MempoolId_t graph_pool_handle();

struct __attribute__((visibility("default"))) CUDAGraph {
  CUDAGraph() = default;
  ~CUDAGraph();
  CUDAGraph(const CUDAGraph&) = delete;
  CUDAGraph& operator=(const CUDAGraph&) = delete;

  void capture_begin(c10::MempoolId_t pool = {0, 0}, cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal);
  void capture_end();
  void replay();
  c10::MempoolId_t pool();

 private:
  std::uint64_t number_ = 0;  // 0: never begun
};

}  // namespace at::cuda
