// As much of c10's CUDA streams as native/cuda/*.cc asks for.
#pragma once

#include <c10/core/DeviceGuard.h>
#include <c10/core/Stream.h>
#include <cuda_runtime_api.h>

namespace c10::cuda {

class __attribute__((visibility("default"))) CUDAStream {
 public:
  explicit CUDAStream(Stream stream) : stream_(stream) {}
  DeviceIndex device_index() const { return stream_.device_index(); }
  cudaStream_t stream() const;
  void synchronize() const;

 private:
  Stream stream_;
};

__attribute__((visibility("default"))) CUDAStream getCurrentCUDAStream(DeviceIndex device = -1);

}  // namespace c10::cuda
