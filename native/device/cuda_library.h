// Our CUDA kernels are a library of their own, libcellsam_cuda-X.Y.so beside the engine. It registers them as torch operators
// `cellsam_cuda::NAME`, so that the engine needs no header and no library of CUDA.
#pragma once

#include "engine.h"

namespace cellsam::device {

// Opens the library, once, if this process has the CUDA part of libtorch. Call it before the first tensor is made. Without the
// file, or with CELLSAM_CUDA_KERNELS=0 in the environment, torch's own operators do the same work.
void load_cuda_library();

// The names of its operators as a list, or the reason why it is not loaded as text.
Value describe_cuda_library();

}  // namespace cellsam::device
