// The gradient of a scalar function two ways: by central differences and by automatic differentiation.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <functional>

namespace cellsam::test {

// Central differences of the scalar `function` at `point` (float64), one element after another.
inline at::Tensor numeric_gradient(const at::Tensor& point, const std::function<at::Tensor(const at::Tensor&)>& function,
                                   double step = 1e-5) {
  at::NoGradGuard no_grad;
  auto gradient = at::zeros_like(point);
  for (std::int64_t i = 0; i < point.numel(); ++i) {
    auto moved = point.clone();
    moved.view({-1})[i] += step;
    const double above = function(moved).item<double>();
    moved.view({-1})[i] -= 2 * step;
    const double below = function(moved).item<double>();
    gradient.view({-1})[i] = (above - below) / (2 * step);
  }
  return gradient;
}

inline at::Tensor analytic_gradient(const at::Tensor& point, const std::function<at::Tensor(const at::Tensor&)>& function) {
  auto leaf = point.clone().requires_grad_(true);
  function(leaf).backward();
  return leaf.grad();
}

}  // namespace cellsam::test
