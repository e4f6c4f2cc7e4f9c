#include "kernels/mask_decoder_kernels.h"

#include "kernels/isa.h"
#include "kernels/mask_decoder_kernels_isa.h"

namespace cellsam::kernels {

const MaskDecoderKernels& mask_decoder_kernels() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return mask_decoder_kernels_avx512();
  if (isa() == Isa::avx2) return mask_decoder_kernels_avx2();
#endif
  return mask_decoder_kernels_portable();
}

}  // namespace cellsam::kernels
