// Quantiles of an image without sorting it.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::data {

// The 0 and `upper` quantiles of the non-zero values of one image: f32 [2] on its device. Interpolates linearly, with the
// position rounded to float, as torch.quantile does. Infinite or NaN when every value is zero. Does not wait for the device.
at::Tensor nonzero_quantiles(const at::Tensor& image, double upper);

}  // namespace cellsam::data
