// For the files that nvcc compiles.
#pragma once

#include <cuda_runtime.h>

namespace cellsam::cuda {

// Whether this library holds code of the kernel that the current device can run.
template <class Kernel>
bool can_run(Kernel* kernel) {
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess) return true;
  cudaGetLastError();  // or the next launch would seem to have failed
  return false;
}

}  // namespace cellsam::cuda
