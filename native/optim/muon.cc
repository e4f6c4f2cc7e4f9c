#include "optim/muon.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace cellsam::optim {

std::int64_t stacked_matrices(const std::string& name, const at::Tensor& parameter) {
  constexpr std::int64_t kLeastSide = 16;  // anchors, patterns, tokens and what predicts classes and boxes are narrower
  if (!name.ends_with("weight") || parameter.dim() < 2 || name.find("patch_embed") != std::string::npos) return 0;
  const auto rows = parameter.size(0), columns = parameter.numel() / rows;
  if (std::min(rows, columns) < kLeastSide) return 0;
  const bool projections = name.ends_with("in_proj_weight") || name.ends_with("qkv.weight");
  return projections && rows % columns == 0 ? rows / columns : 1;
}

at::Tensor orthogonalized(const at::Tensor& matrices) {
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;  // of the quintic a x + b x^3 + c x^5
  constexpr int kSteps = 5;
  const bool tall = matrices.size(1) > matrices.size(2);  // the smaller of X X^T and X^T X is multiplied
  auto x = tall ? matrices.transpose(1, 2) : matrices;
  if (x.is_cuda()) x = x.to(at::kBFloat16);
  x = x / x.flatten(1).norm(2, 1).clamp_min(1e-7).view({-1, 1, 1});
  for (int step = 0; step < kSteps; ++step) {
    const auto square = x.matmul(x.transpose(1, 2));
    x = at::baddbmm(x, at::baddbmm(square, square, square, b, c), x, a);
  }
  return (tall ? x.transpose(1, 2) : x).to(matrices.scalar_type());
}

double update_scale(std::int64_t rows, std::int64_t columns) {
  return 0.2 * std::sqrt(static_cast<double>(std::max(rows, columns)));
}

}  // namespace cellsam::optim
