#include "kernels/mask_loss_kernel.h"

namespace cellsam::kernels {

template <>
MaskKernel<float> mask_kernel(Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512) return avx512_mask_kernel();
  if (isa >= Isa::avx2) return avx2_mask_kernel();
#endif
  return portable_mask_kernel<float>();
}

template <>
MaskKernel<double> mask_kernel(Isa /*isa*/) {
  return portable_mask_kernel<double>();
}

}  // namespace cellsam::kernels
