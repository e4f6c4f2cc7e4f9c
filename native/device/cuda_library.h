// Our CUDA kernels are a library of their own, libcellsam_cuda-X.Y-cuN.so beside the engine: of torch X.Y for CUDA N. It
// registers them as torch operators `cellsam_cuda::NAME`, so that the engine needs no header and no library of CUDA.
#pragma once

#include <string>

#include "engine.h"

namespace cellsam::device {

// Opens the library, once, if this process has the CUDA part of libtorch. Call it before the first tensor is made. Without the
// file, or with CELLSAM_CUDA_KERNELS=0 in the environment, torch's own operators do the same work.
void load_cuda_library();

// The file name of the library that belongs to an engine, libcellsam_engine-X.Y.so, and to a libtorch for this CUDA. One for
// another CUDA would bring a second CUDA runtime into the process, whose kernels torch's streams cannot start. Empty for the
// name of something else.
std::string cuda_library_of(std::string engine, long cuda_major);

// The names of its operators as a list, or the reason why it is not loaded as text.
Value describe_cuda_library();

}  // namespace cellsam::device
