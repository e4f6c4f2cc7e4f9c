#include "model/local_init.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

namespace cellsam::model {

void init_local(const at::Tensor& query_weight, const at::Tensor& key_weight, double gain) {
  at::NoGradGuard no_grad;
  const auto shared = torch::nn::init::orthogonal_(at::empty_like(query_weight), gain);
  query_weight.copy_(shared);
  key_weight.copy_(shared);
}

void init_zero(const at::Tensor& parameter) {
  at::NoGradGuard no_grad;
  parameter.zero_();
}

}  // namespace cellsam::model
