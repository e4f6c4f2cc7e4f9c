#include "model/frozen_linear.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/record_function.h>

namespace cellsam::model {

at::Tensor FrozenLinear::forward(torch::nn::LinearImpl& layer, const at::Tensor& x) {
  const auto& weight = layer.weight;
  const auto device = weight.device().type();
  const bool cast = at::autocast::is_autocast_enabled(device) && at::autocast::get_autocast_dtype(device) == at::kBFloat16 &&
                    weight.scalar_type() == at::kFloat && !weight.requires_grad() && !layer.bias.requires_grad() &&
                    !weight.is_inference() && !layer.bias.is_inference() &&
                    !at::hasThreadLocalCallbacks();  // a watcher knows the layer by its own weight
  at::Tensor kept_weight, kept_bias;
  {
    const std::lock_guard lock(mutex_);
    const auto version = cast ? weight._version() + layer.bias._version() : 0;  // each only ever rises
    if (!cast) {
      weight_.reset(), bias_.reset();
      source_ = nullptr;
    } else if (source_ != weight.const_data_ptr() || version_ != version) {
      weight_ = weight.detach().to(at::kBFloat16);
      bias_ = layer.bias.detach().to(at::kBFloat16);
      source_ = weight.const_data_ptr();
      version_ = version;
    }
    kept_weight = weight_, kept_bias = bias_;
  }
  return cast ? at::linear(x, kept_weight, kept_bias) : layer.forward(x);
}

}  // namespace cellsam::model
