#include "model/sine_embedding.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <numbers>

namespace cellsam::model {

namespace {

// Angles [...,n] -> [...,2n]: the sine and the cosine of each, side by side. They are each other's derivatives.
struct SineAndCosine : torch::autograd::Function<SineAndCosine> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& angle) {
    auto sizes = angle.sizes().vec();
    sizes.back() *= 2;
    const auto features = at::empty(sizes, angle.options());
    auto [sine, cosine] = halves(features);
    at::sin_out(sine, angle);
    at::cos_out(cosine, angle);
    context->save_for_backward({features});
    return features;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto [sine, cosine] = halves(context->get_saved_variables()[0]);
    const auto [of_sine, of_cosine] = halves(grads[0]);
    return {(of_sine * cosine).addcmul_(of_cosine, sine, -1)};
  }

  static std::pair<at::Tensor, at::Tensor> halves(const at::Tensor& features) {
    const auto pairs = features.unflatten(-1, {-1, 2});
    return {pairs.select(-1, 0), pairs.select(-1, 1)};
  }
};

}  // namespace

at::Tensor SineEmbedding::line(const at::Tensor& position) const {
  // The periods are float32 whatever the type of the positions is: so the published weights were trained.
  const auto options = position.options().dtype(at::kFloat).requires_grad(false);
  const auto periods = periods_.get(options, {}, [&] {
    const auto exponent = 2 * at::arange(options_.dim / 2, options) / options_.dim;
    return at::pow(at::Scalar(options_.temperature), exponent);
  });
  return SineAndCosine::apply((position * (2 * std::numbers::pi * options_.scale)).unsqueeze(-1) / periods);
}

// With half as many features, feature pair i has the period that pair 2i has here.
at::Tensor SineEmbedding::plane(const at::Tensor& x, const at::Tensor& y) {
  const auto even_pairs = [](const at::Tensor& features) { return features.unflatten(-1, {-1, 2, 2}).select(-2, 0); };
  return at::cat({even_pairs(y), even_pairs(x)}, -2).flatten(-2);
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
