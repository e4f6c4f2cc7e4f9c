// What follows a matrix product in a transformer block, without a tensor for every step: residual sums with the layer norm
// behind them, and GELU in front of the next product. On the CPU in float32 and bfloat16; elsewhere, and where somebody watches
// torch's operations, torch's weight_grad operations.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "base/switch.h"
#include "ops/frozen_linear.h"

namespace cellsam::ops {

// Whether the whole process uses them, on at first. CELLSAM_FUSED_EPILOGUES=0 in the environment starts with them off.
Switch& fused_epilogues();

struct AddedNorm {
  at::Tensor sum;   // x + delta, of the type of x
  at::Tensor norm;  // norm(x + delta); bfloat16 under bfloat16 autocast on the CPU, where linear layers want it so
};

// For blocks that norm what goes into a product. x [...,E], delta of the same shape in the same or bf16 the precision.
// Differentiable once, as all of these.
AddedNorm add_norm(const at::Tensor& x, const at::Tensor& delta, torch::nn::LayerNormImpl& norm);
at::Tensor norm_of(const at::Tensor& x, torch::nn::LayerNormImpl& norm);  // the norm alone, in bfloat16 likewise
at::Tensor sum_of(const at::Tensor& x, const at::Tensor& delta);          // the sum alone

// For blocks that norm the stream itself: norm(x + delta), of the type of x.
at::Tensor norm_of_sum(const at::Tensor& x, const at::Tensor& delta, torch::nn::LayerNormImpl& norm);

// cast(layer, gelu(x)) with the exact GELU (erf). Where gradients flow, only x is kept: backward computes the GELU again.
at::Tensor gelu_linear(const at::Tensor& x, torch::nn::LinearImpl& layer, FrozenLinear& cast);

}  // namespace cellsam::ops
