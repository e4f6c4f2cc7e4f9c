#include "optim/low_rank.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace cellsam::optim {
namespace {

std::int64_t rank_of(const at::Tensor& weight, std::int64_t rank) { return std::min({rank, weight.size(0), weight.size(1)}); }

}  // namespace

LowRankChange::LowRankChange(at::Tensor weight, const LowRank& low_rank, at::Generator generator)
    : weight_(std::move(weight)), scale_(low_rank.scale) {
  const auto rank = rank_of(weight_, low_rank.rank);
  const double bound = 1 / std::sqrt(static_cast<double>(weight_.size(1)));
  // Drawn on the CPU, so that every device draws the same.
  down_ = at::empty({rank, weight_.size(1)}, at::kFloat).uniform_(-bound, bound, std::move(generator)).to(weight_.options());
  up_ = at::zeros({weight_.size(0), rank}, weight_.options());
}

void LowRankChange::take_gradient() {
  const auto& gradient = weight_.grad();
  if (!gradient.defined()) return;
  down_.mutable_grad() = up_.t().matmul(gradient).mul_(scale_);
  up_.mutable_grad() = gradient.matmul(down_.t()).mul_(scale_);
  down_before_ = down_.clone();
  up_before_ = up_.clone();
}

void LowRankChange::apply() {
  if (!up_before_.defined()) return;
  // The difference of two products that are computed alike is exactly 0 where an update was left out.
  weight_.add_(up_.matmul(down_).sub_(up_before_.matmul(down_before_)), scale_);
  down_before_.reset();
  up_before_.reset();
}

void LowRankChange::drop_gradients() {
  for (auto* tensor : {&weight_, &down_, &up_}) tensor->mutable_grad().reset();
}

std::int64_t low_rank_numbers(const at::Tensor& weight, std::int64_t rank) {
  return rank_of(weight, rank) * (weight.size(0) + weight.size(1));
}

}  // namespace cellsam::optim
