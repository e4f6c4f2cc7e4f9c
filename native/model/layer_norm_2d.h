// Layer normalisation over the channels of a [B,C,H,W] map, as SAM's neck, mask encoder and upscaling use it.
#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

namespace cellsam::model {

class LayerNorm2dImpl : public torch::nn::Module {
 public:
  explicit LayerNorm2dImpl(std::int64_t channels) {
    weight = register_parameter("weight", at::ones({channels}));
    bias = register_parameter("bias", at::zeros({channels}));
  }

  at::Tensor forward(const at::Tensor& x) {
    return at::layer_norm(x.permute({0, 2, 3, 1}), weight.sizes(), weight, bias, 1e-6).permute({0, 3, 1, 2});
  }

  at::Tensor weight, bias;
};
TORCH_MODULE(LayerNorm2d);

}  // namespace cellsam::model
