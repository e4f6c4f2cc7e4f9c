// Products of a few prompt tokens with all image tokens, head by head: what attention needs of an image whose projections are
// shared by many prompts. Only channels of the same head are multiplied, an eighth of a plain matrix product. docs/math.md 1.9.
// N prompts of t tokens, H heads of E channels, G image tokens. Called by factored_image_tokens.cc.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::ops {

// scores[n,h*t+i,g] = sum over e of q[n,h,i,e] * map[h,e,g]: [N,H,t,E], [H,E,G] -> [N,H*t,G].
at::Tensor head_scores(const at::Tensor& q, const at::Tensor& map);

// The transposed product, values[n,h,i,e] = sum over g of weights[n,h*t+i,g] * map[h,e,g]: [N,H*t,G], [H,E,G] -> [N,H,t,E].
at::Tensor head_values(const at::Tensor& weights, const at::Tensor& map);

}  // namespace cellsam::ops
