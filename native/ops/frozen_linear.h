// A linear layer whose weights stand still is prepared once, not at every call: cast for autocast, and on the CPU packed as its
// matrix products read it.
#pragma once

#include <torch/nn/modules/linear.h>

#include <cstdint>
#include <mutex>

namespace cellsam::ops {

class FrozenLinear {
 public:
  // layer(x). With frozen float32 weights under bfloat16 autocast, or where no gradient is wanted: with a copy of them that is
  // kept until they are written to, moved, or to be trained.
  at::Tensor forward(torch::nn::LinearImpl& layer, const at::Tensor& x) { return forward(layer, x, /*gelu=*/false); }

  // gelu(layer(x)), the exact GELU (erf), in one go with the product where the weights are packed.
  at::Tensor forward_gelu(torch::nn::LinearImpl& layer, const at::Tensor& x) { return forward(layer, x, /*gelu=*/true); }

 private:
  struct Copy {
    const void* source = nullptr;  // whose copy this is, and of which version
    std::uint32_t version = 0;
    bool packed = false;
    at::Tensor weight, bias;
  };

  at::Tensor forward(torch::nn::LinearImpl& layer, const at::Tensor& x, bool gelu);
  Copy copy_of(const torch::nn::LinearImpl& layer, at::ScalarType type, bool packed);

  std::mutex mutex_;
  Copy copy_;
};

}  // namespace cellsam::ops
