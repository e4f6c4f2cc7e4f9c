// The mask decoder's inner loops for AVX-512. Compiled with the flags that CMakeLists.txt gives it on x86-64 only.
#if defined(__x86_64__)

#include "kernels/mask_decoder_kernels_body.h"

namespace cellsam::kernels {

const MaskDecoderKernels& mask_decoder_kernels_avx512() { return kKernels; }

}  // namespace cellsam::kernels

#endif
