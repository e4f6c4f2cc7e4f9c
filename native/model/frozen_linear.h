// A linear layer whose weights stand still is cast for autocast once, not at every call.
#pragma once

#include <torch/nn/modules/linear.h>

#include <cstdint>
#include <mutex>

namespace cellsam::model {

class FrozenLinear {
 public:
  // layer(x). Under bfloat16 autocast and with a frozen float32 weight: with a copy that is kept until the weight is written
  // to, moved, or to be trained.
  at::Tensor forward(torch::nn::LinearImpl& layer, const at::Tensor& x);

 private:
  std::mutex mutex_;
  const void* source_ = nullptr;  // whose copy this is, and of which version
  std::uint32_t version_ = 0;
  at::Tensor weight_, bias_;
};

}  // namespace cellsam::model
