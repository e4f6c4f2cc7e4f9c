// Products of a few tokens with all cells of an image, head by head: what attention needs of an image whose projections are
// shared by many prompts. Only a head's own features meet, an eighth of what a plain matrix product would multiply.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::ops {

// scores[n,h*t+i,g] = sum over e of q[n,h,i,e] * map[h,e,g]: [N,H,t,E], [H,E,G] -> [N,H*t,G].
at::Tensor head_scores(const at::Tensor& q, const at::Tensor& map);

// The transposed product, values[n,h,i,e] = sum over g of weights[n,h*t+i,g] * map[h,e,g]: [N,H*t,G], [H,E,G] -> [N,H,t,E].
at::Tensor head_values(const at::Tensor& weights, const at::Tensor& map);

}  // namespace cellsam::ops
