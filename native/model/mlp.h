// The two perceptrons that the networks share: one with ReLU between any number of layers, for prediction heads, and the
// two-layer one inside transformer blocks.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

#include "ops/frozen_linear.h"

namespace cellsam::model {

class MlpImpl : public torch::nn::Module {
 public:
  // `depth` linear layers: in -> hidden -> ... -> hidden -> out.
  MlpImpl(std::int64_t in, std::int64_t hidden, std::int64_t out, std::int64_t depth);

  at::Tensor forward(at::Tensor x);  // [...,in] -> [...,out]

  torch::nn::LinearImpl& last_layer();  // for code that initialises it

 private:
  torch::nn::LinearImpl& layer(std::size_t index);

  torch::nn::ModuleList layers_;
};
TORCH_MODULE(Mlp);

enum class Activation { relu, gelu };  // gelu is the exact one (erf)

class MlpBlockImpl : public torch::nn::Module {
 public:
  MlpBlockImpl(std::int64_t dim, std::int64_t hidden, Activation activation);

  at::Tensor forward(const at::Tensor& x);  // [...,dim] -> [...,dim]

 private:
  Activation activation_;
  torch::nn::Linear lin1_{nullptr}, lin2_{nullptr};
  ops::FrozenLinear frozen_lin1_, frozen_lin2_;  // compute lin1_ and lin2_, faster while these do not train
};
TORCH_MODULE(MlpBlock);

}  // namespace cellsam::model
