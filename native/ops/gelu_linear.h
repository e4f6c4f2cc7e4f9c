// GELU with the linear layer behind it, as one operator that keeps less for backward than two would.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/modules/linear.h>

#include "ops/frozen_linear.h"

namespace cellsam::ops {

// cast(layer, gelu(x)) with the exact GELU (erf). Where gradients flow, only x is kept: backward computes the GELU again.
at::Tensor gelu_linear(const at::Tensor& x, torch::nn::LinearImpl& layer, FrozenLinear& cast);

}  // namespace cellsam::ops
