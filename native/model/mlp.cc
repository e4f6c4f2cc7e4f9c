#include "model/mlp.h"

#include <ATen/ATen.h>

#include "model/apply_linear.h"
#include "ops/gelu_linear.h"

namespace cellsam::model {

MlpImpl::MlpImpl(std::int64_t in, std::int64_t hidden, std::int64_t out, std::int64_t depth) {
  register_module("layers", layers_);
  for (std::int64_t i = 0; i < depth; ++i) {
    layers_->push_back(torch::nn::Linear(i == 0 ? in : hidden, i + 1 == depth ? out : hidden));
  }
}

torch::nn::LinearImpl& MlpImpl::layer(std::size_t index) { return *layers_[index]->as<torch::nn::Linear>(); }

torch::nn::LinearImpl& MlpImpl::last_layer() { return layer(layers_->size() - 1); }

at::Tensor MlpImpl::forward(at::Tensor x) {
  for (std::size_t i = 0; i < layers_->size(); ++i) {
    x = apply_linear(layer(i), x);
    if (i + 1 < layers_->size()) x = at::relu(x);
  }
  return x;
}

MlpBlockImpl::MlpBlockImpl(std::int64_t dim, std::int64_t hidden, Activation activation) : activation_(activation) {
  lin1_ = register_module("lin1", torch::nn::Linear(dim, hidden));
  lin2_ = register_module("lin2", torch::nn::Linear(hidden, dim));
}

at::Tensor MlpBlockImpl::forward(const at::Tensor& x) {
  if (activation_ == Activation::relu) return frozen_lin2_.forward(*lin2_, at::relu(frozen_lin1_.forward(*lin1_, x)));
  if (at::GradMode::is_enabled()) return ops::gelu_linear(frozen_lin1_.forward(*lin1_, x), *lin2_, frozen_lin2_);
  return frozen_lin2_.forward(*lin2_, frozen_lin1_.forward_gelu(*lin1_, x));
}

}  // namespace cellsam::model
