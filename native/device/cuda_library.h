// Our own CUDA kernels, in a library of their own: libcellsam_cuda-X.Y.so beside the engine. It registers them as operators
// `cellsam_cuda::...`, so the engine itself needs no header and no library of CUDA.
#pragma once

#include "engine.h"

namespace cellsam::device {

// Opens it, once, when this process has CUDA's half of libtorch. Before the first tensor: kernels register themselves. Nothing
// happens without the file, or with CELLSAM_CUDA_KERNELS=0 in the environment; then torch's own operators do the same work.
void load_cuda_library();

// The operators that are there, by name; or the reason why none is, as text.
Value describe_cuda_library();

}  // namespace cellsam::device
