// The end of the mask decoder, image token by image token: both transposed convolutions and the product with each mask's
// filter, fused so that nothing upscaled is laid out for more than a few image tokens on the way. docs/math.md (1.17) to
// (1.19). Called by model/mask_decoder.cc.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::ops {

// Image tokens after the first transposed convolution, [N,4*c,G] by pixel of an image token (2 x 2) and channel, in the form in
// which prompts share an image: scale * image + rows' * row_weights + bias.
struct UpscaledImageTokens {
  at::Tensor image;        // [4*c,G]
  at::Tensor scale;        // [N,1,G]
  at::Tensor rows;         // [N,K,4*c]
  at::Tensor row_weights;  // [N,K,G]
  at::Tensor bias;         // [4*c]
};

// What follows: gain and bias [c] of the norm, the second convolution's weight [4*c/2,c] by pixel of a pixel (2 x 2) and
// channel, and its bias [c/2].
struct UpscaleWeights {
  at::Tensor gain, norm_bias;
  at::Tensor weight, bias;
};

// With the masks' filters [N,M,c/2]: logits [N,M,4,4,G], by pixel of the first and of the second convolution. bf16: the fused
// way multiplies in bfloat16, where the CPU does; what it adds and keeps stays in float32.
at::Tensor upscaled_masks(const UpscaledImageTokens& tokens, const at::Tensor& filters, const UpscaleWeights& weights,
                          bool bf16);

}  // namespace cellsam::ops
