// The variants of the mask decoder's inner loops; cell_kernels() picks one.
#pragma once

#include "kernels/mask_decoder_kernels.h"

namespace cellsam::kernels {

const CellKernels& cell_kernels_portable();
const CellKernels& cell_kernels_avx2();  // on x86-64 only, as the next
const CellKernels& cell_kernels_avx512();

}  // namespace cellsam::kernels
