#include "optim/clip_grad_norm.h"

#include <ATen/ATen.h>

namespace cellsam::optim {

at::Tensor clip_grad_norm(const std::vector<ParameterGroup>& groups, double max_norm) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  for (const auto& group : groups) {
    for (const auto& parameter : group.parameters) {
      if (parameter.grad().defined()) gradients.push_back(parameter.grad());
    }
  }
  if (gradients.empty()) return at::zeros({});
  const auto norm = at::stack(at::_foreach_norm(gradients, 2)).norm();
  if (max_norm > 0) at::_foreach_div_(gradients, ((norm + 1e-6) / max_norm).clamp_min(1));
  return norm;
}

}  // namespace cellsam::optim
