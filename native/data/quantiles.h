// Order statistics of an image, found without sorting it.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::data {

// The 0 and `upper` quantiles of the non-zero values of one image, f32 [2] on its device: linear interpolation with the
// position rounded to float, as torch.quantile does it. Infinite or NaN when every value is zero. Never waits for a device.
at::Tensor nonzero_quantiles(const at::Tensor& image, double upper);

}  // namespace cellsam::data
