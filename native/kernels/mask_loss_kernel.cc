#include "kernels/mask_loss_kernel.h"

namespace cellsam::kernels {

template <>
MaskKernel<float> mask_kernel(Isa isa) {
  return CELLSAM_VARIANT(isa, mask_kernel_portable<float>, mask_kernel_avx2, mask_kernel_avx512)();
}

template <>
MaskKernel<double> mask_kernel(Isa /*isa*/) {
  return mask_kernel_portable<double>();
}

}  // namespace cellsam::kernels
