// The variants of the mask decoder's inner loops; mask_decoder_kernels() picks one.
#pragma once

#include "kernels/mask_decoder_kernels.h"

namespace cellsam::kernels {

const MaskDecoderKernels& mask_decoder_kernels_portable();
const MaskDecoderKernels& mask_decoder_kernels_avx2();  // on x86-64 only, as the next
const MaskDecoderKernels& mask_decoder_kernels_avx512();

}  // namespace cellsam::kernels
