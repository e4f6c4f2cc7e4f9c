#include "train/gradients.h"

#include <ATen/ATen.h>

namespace cellsam::train {

std::vector<at::Tensor> copy_gradients(const model::NamedTensors& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& [name, parameter] : parameters) {
    gradients.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::Tensor());
  }
  return gradients;
}

void restore_gradients(const model::NamedTensors& parameters, const std::vector<at::Tensor>& gradients) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    auto parameter = parameters[i].second;
    parameter.mutable_grad() = gradients[i].defined() ? gradients[i].clone() : at::Tensor();
  }
}

void add_gradients(const model::NamedTensors& parameters, const std::vector<at::Tensor>& gradients) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> sums, added, new_ones, copied;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!gradients[i].defined()) continue;
    auto parameter = parameters[i].second;
    const bool first = !parameter.grad().defined();
    if (first) parameter.mutable_grad() = at::empty_like(parameter);
    (first ? new_ones : sums).push_back(parameter.mutable_grad());
    (first ? copied : added).push_back(gradients[i]);
  }
  if (!new_ones.empty()) at::_foreach_copy_(new_ones, copied);
  if (!sums.empty()) at::_foreach_add_(sums, added);
}

}  // namespace cellsam::train
