// Quantiles of images, on the CPU without sorting them.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::data {

// The 0 and `upper` quantiles of the non-zero values of each of `images` [B,...]: f32 [2,B] on their device. Interpolates
// linearly, with the position rounded to float, as torch.quantile does. Infinite or NaN when every value is zero. Does not wait
// for the device.
at::Tensor nonzero_quantiles(const at::Tensor& images, double upper);

}  // namespace cellsam::data
