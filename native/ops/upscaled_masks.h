// The end of the mask decoder, cell by cell: both transposed convolutions and the product with each mask's filter, fused so
// that nothing upscaled is laid out for more than a few cells on the way.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::ops {

// Cells after the first transposed convolution, [N,4*c,G] by quarter of a cell and channel, in the form in which prompts share
// an image: scale * image + rows' * shares + level.
struct UpscaledCells {
  at::Tensor image;   // [4*c,G]
  at::Tensor scale;   // [N,1,G]
  at::Tensor rows;    // [N,K,4*c]
  at::Tensor shares;  // [N,K,G]
  at::Tensor level;   // [4*c]
};

// What follows: gain and bias [c] of the norm, the second convolution's weight [4*c/2,c] by quarter of a pixel and channel, and
// its bias [c/2].
struct UpscaleWeights {
  at::Tensor gain, norm_bias;
  at::Tensor weight, bias;
};

// With the masks' filters [N,M,c/2]: logits [N,M,4,4,G], by quarter and quarter of it. half: the fused way multiplies in
// bfloat16, where the CPU does; what it adds and keeps stays in float32.
at::Tensor upscaled_masks(const UpscaledCells& cells, const at::Tensor& filters, const UpscaleWeights& weights, bool half);

}  // namespace cellsam::ops
