#include "kernels/mask_decoder_kernels.h"

#include "kernels/isa.h"

namespace cellsam::kernels {

const MaskDecoderKernels& mask_decoder_kernels() {
  return CELLSAM_VARIANT(isa(), mask_decoder_kernels_portable, mask_decoder_kernels_avx2, mask_decoder_kernels_avx512)();
}

}  // namespace cellsam::kernels
