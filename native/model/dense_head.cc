#include "model/dense_head.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

namespace cellsam::model {
namespace {

constexpr std::int64_t kGroups = 32;
constexpr std::int64_t kKernel = 3;

// Where tokens lie before the sigmoid: [T,2] as (x,y).
at::Tensor token_logits(std::int64_t height, std::int64_t width, at::TensorOptions options) {
  const auto centres = [&](std::int64_t count) { return (at::arange(count, options) + 0.5) / count; };
  return at::stack({centres(width).repeat({height}), centres(height).repeat_interleave(width)}, 1).logit();
}

}  // namespace

DenseHeadImpl::DenseHeadImpl(std::int64_t dim) {
  constexpr std::uint64_t kSeed = 1;
  const auto generator = at::detail::createCPUGenerator(kSeed);
  const double he = std::sqrt(2.0 / static_cast<double>(dim * kKernel * kKernel));  // He et al., ICCV 2015
  conv_weight_ = register_parameter("conv_weight", at::randn({dim, dim, kKernel, kKernel}, generator) * he);
  conv_bias_ = register_parameter("conv_bias", at::zeros({dim}));
  norm_weight_ = register_parameter("norm_weight", at::ones({dim}));
  norm_bias_ = register_parameter("norm_bias", at::zeros({dim}));
  class_weight_ = register_parameter("class_weight", at::zeros({1, dim}));
  class_bias_ = register_parameter("class_bias", at::full({1}, -std::log(99.0)));
  box_weight_ = register_parameter("box_weight", at::zeros({4, dim}));
  box_bias_ = register_parameter("box_bias", at::tensor({0.0F, 0.0F, -2.0F, -2.0F}));
}

DensePredictions DenseHeadImpl::forward(const at::Tensor& tokens) {
  const auto convolved = at::conv2d(tokens.permute({0, 3, 1, 2}), conv_weight_, conv_bias_, 1, kKernel / 2);
  const auto seen = at::group_norm(convolved, kGroups, norm_weight_, norm_bias_).relu().flatten(2).transpose(1, 2);  // [B,T,D]
  const auto wide = [&](const at::Tensor& x) { return x.to(box_bias_.scalar_type()); };
  const auto centres = token_logits(tokens.size(1), tokens.size(2), box_bias_.options().requires_grad(false));
  return {wide(at::linear(seen, class_weight_, class_bias_)).squeeze(-1),
          (wide(at::linear(seen, box_weight_, box_bias_)) + at::constant_pad_nd(centres, {0, 2})).sigmoid()};
}

}  // namespace cellsam::model
