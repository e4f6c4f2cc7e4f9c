// The mask decoder's inner loops for every machine.
#include "kernels/mask_decoder_kernels_body.h"

namespace cellsam::kernels {

const MaskDecoderKernels& mask_decoder_kernels_portable() { return kKernels; }

}  // namespace cellsam::kernels
