// Layer normalisation over the channels of each pixel of a map, as SAM's neck, mask downscaling and mask upscaling use it.
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

  // [B,C,H,W] -> [B,C,H,W]; epsilon is 1e-6.
  at::Tensor forward(const at::Tensor& x) {
    return at::layer_norm(x.permute({0, 2, 3, 1}), weight.sizes(), weight, bias, 1e-6).permute({0, 3, 1, 2});
  }

  at::Tensor weight, bias;  // [C]
};
TORCH_MODULE(LayerNorm2d);

}  // namespace cellsam::model
