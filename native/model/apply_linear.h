// torch::nn::Linear::forward multiplies, rounds, and adds the bias in a second operation. at::linear does both in one.
#pragma once

#include <ATen/ATen.h>
#include <torch/nn/modules/linear.h>

#include "base/cast_weights.h"

namespace cellsam::model {

inline at::Tensor apply_linear(const torch::nn::LinearImpl& layer, const at::Tensor& x) {  // [...,in] -> [...,out]
  return at::linear(x, weight_of(layer.weight), weight_of(layer.bias));
}

}  // namespace cellsam::model
