#include "model/sine_embedding.h"

#include <ATen/ATen.h>

#include <numbers>

namespace cellsam::model {

at::Tensor sine_embedding_1d(const at::Tensor& position, const SineOptions& options) {
  // The periods are float32 whatever the type of the positions is: so the published weights were trained.
  const auto index = at::arange(options.dim, position.options().dtype(at::kFloat).requires_grad(false));
  const auto exponent = 2 * (index / 2).floor() / options.dim;
  const auto period = at::pow(at::Scalar(options.temperature), exponent);
  const auto angle = (position * (2 * std::numbers::pi * options.scale)).unsqueeze(-1) / period;  // [...,dim]
  const auto pairs = angle.unflatten(-1, {options.dim / 2, 2});
  return at::stack({pairs.select(-1, 0).sin(), pairs.select(-1, 1).cos()}, -1).flatten(-2);
}

at::Tensor sine_embedding_2d(const at::Tensor& position, const SineOptions& options) {
  SineOptions half = options;
  half.dim = options.dim / 2;
  return at::cat({sine_embedding_1d(position.select(-1, 1), half), sine_embedding_1d(position.select(-1, 0), half)}, -1);
}

GridCoordinates grid_coordinates(const at::Tensor& padding) {
  const auto valid = padding.logical_not();
  const auto centres = [](const at::Tensor& line) {  // [B,n]
    // Summed as integers: on CUDA some versions of torch refuse a cumulative sum of floats in deterministic mode.
    const auto count = line.cumsum(1, at::kLong).to(at::kFloat);
    return (count - 0.5) / count.slice(1, -1);
  };
  return {centres(valid.select(2, 0)), centres(valid.select(1, 0))};
}

}  // namespace cellsam::model
