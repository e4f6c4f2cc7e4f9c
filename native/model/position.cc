#include "model/position.h"

#include <ATen/ATen.h>

#include <numbers>

namespace cellsam::model {

at::Tensor sine_1d(const at::Tensor& position, const SineOptions& options) {
  // The table is float32 whatever the positions are: so the published weights were trained, and so float64 runs compare.
  const auto index = at::arange(options.dim, position.options().dtype(at::kFloat).requires_grad(false));
  const auto exponent = 2 * (index / 2).floor() / options.dim;
  const auto period = at::pow(at::Scalar(options.temperature), exponent);
  const auto angle = (position * (2 * std::numbers::pi * options.scale)).unsqueeze(-1) / period;
  const auto pairs = angle.unflatten(-1, {options.dim / 2, 2});
  return at::stack({pairs.select(-1, 0).sin(), pairs.select(-1, 1).cos()}, -1).flatten(-2);
}

at::Tensor sine_2d(const at::Tensor& position, const SineOptions& options) {
  SineOptions half = options;
  half.dim = options.dim / 2;
  return at::cat({sine_1d(position.select(-1, 1), half), sine_1d(position.select(-1, 0), half)}, -1);
}

GridPosition grid_position(const at::Tensor& padding) {
  const auto inside = padding.logical_not();
  const auto centres = [](const at::Tensor& line) {  // [B,n]
    // Counted in whole numbers: on CUDA some versions of torch refuse to add floats up in deterministic mode.
    const auto count = line.cumsum(1, at::kLong).to(at::kFloat);
    return (count - 0.5) / count.slice(1, -1);
  };
  return {centres(inside.select(2, 0)), centres(inside.select(1, 0))};
}

}  // namespace cellsam::model
