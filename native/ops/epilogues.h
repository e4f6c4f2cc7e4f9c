// What follows a matrix product in a transformer block, without a tensor for every step: residual sums with the layer norm
// behind them. (GELU in front of the next product: gelu_linear.h.) On the CPU in float32 and bfloat16, by the loops of
// kernels/norm_rows.h; elsewhere, and where somebody watches torch's operations, torch's own operations.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/normalization.h>

#include "base/switch.h"

namespace cellsam::ops {

// Whether the whole process uses them, on at first. CELLSAM_FUSED_EPILOGUES=0 in the environment starts with them off.
Switch& fused_epilogues();

// Whether they are on, x is on the CPU, and nobody watches torch's operations.
bool may_fuse_epilogues(const at::Tensor& x);

struct AddedNorm {
  at::Tensor sum;   // x + delta, of the type of x
  at::Tensor norm;  // norm(x + delta); bfloat16 under bfloat16 autocast on the CPU, where linear layers want it so
};

// For blocks that norm what goes into a product. x [...,E], delta of the same shape in the same or half the precision.
// Differentiable once, as all of these.
AddedNorm add_norm(const at::Tensor& x, const at::Tensor& delta, torch::nn::LayerNormImpl& norm);
at::Tensor norm_of(const at::Tensor& x, torch::nn::LayerNormImpl& norm);  // the norm alone, in bfloat16 likewise
at::Tensor sum_of(const at::Tensor& x, const at::Tensor& delta);          // the sum alone

// For blocks that norm the stream itself: norm(x + delta), of the type of x.
at::Tensor norm_of_sum(const at::Tensor& x, const at::Tensor& delta, torch::nn::LayerNormImpl& norm);

}  // namespace cellsam::ops
