// Lets one source be a CUDA kernel for nvcc and a plain function for the host compiler. A kernel of this room is a sequence of
// phases, functions of (arguments, block, thread) between which the block waits; a test without a GPU runs them as loops.
#pragma once

#ifdef __CUDACC__
#define CELLSAM_HD __host__ __device__ inline
#else
#define CELLSAM_HD inline
#endif
