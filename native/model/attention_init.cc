#include "model/attention_init.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

namespace cellsam::model {

void init_local_attention(const at::Tensor& query_weight, const at::Tensor& key_weight, double gain) {
  at::NoGradGuard no_grad;
  const auto orthogonal = torch::nn::init::orthogonal_(at::empty_like(query_weight), gain);
  query_weight.copy_(orthogonal);
  key_weight.copy_(orthogonal);
}

}  // namespace cellsam::model
