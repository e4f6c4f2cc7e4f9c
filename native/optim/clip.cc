#include "optim/clip.h"

#include <ATen/ATen.h>

namespace cellsam::optim {

at::Tensor clip_gradients(const std::vector<Group>& groups, double max_norm) {
  at::NoGradGuard no_grad;
  const auto all = gradients(groups);
  if (all.empty()) return at::zeros({});
  const auto norm = at::stack(at::_foreach_norm(all, 2)).norm();
  if (max_norm > 0) at::_foreach_mul_(all, (max_norm / (norm + 1e-6)).clamp_max(1));
  return norm;
}

}  // namespace cellsam::optim
