// Boundary loss: the mean difference between the Sobel edges of the predicted and of the true mask.
//   mean |E(p) - E(g)| over the pixels of each mask, p = σ(logit), g the target, E(u) = sqrt(gx² + gy² + 1e-6) with the 3x3
//   Sobel filters and zero padding 1. Edges whose 3x3 window meets an ignored pixel are not known and left out too.
#include <ATen/ATen.h>

#include <utility>

#include "loss/mask_loss_table.h"
#include "settings/boundary.h"

namespace cellsam::loss {

namespace {

constexpr double kEdgeFloor = 1e-6;  // keeps the square root differentiable on flat ground

// Horizontal and vertical Sobel response of u [N,H,W], zero padding 1. Sums of slices instead of a convolution: cuDNN would
// round the filter to TF32.
std::pair<at::Tensor, at::Tensor> sobel(const at::Tensor& u) {
  const auto height = u.size(1), width = u.size(2);
  const auto padded = at::constant_pad_nd(u, {1, 1, 1, 1}, 0);  // [N,H+2,W+2]
  const auto smooth_down =
      at::add(padded.narrow(1, 0, height), padded.narrow(1, 2, height)).add_(padded.narrow(1, 1, height), 2);
  const auto smooth_across =
      at::add(padded.narrow(2, 0, width), padded.narrow(2, 2, width)).add_(padded.narrow(2, 1, width), 2);
  return {smooth_down.narrow(2, 2, width) - smooth_down.narrow(2, 0, width),
          smooth_across.narrow(1, 2, height) - smooth_across.narrow(1, 0, height)};
}

at::Tensor magnitude(const std::pair<at::Tensor, at::Tensor>& edges) {
  return edges.first.square().addcmul_(edges.second, edges.second).add_(kEdgeFloor).sqrt_();
}

Term boundary_term(const MaskInputs& masks, const LossSettings& /*settings*/) {
  const auto& [logits, target, probability, needs_gradient, counted] = masks;
  const auto predicted = sobel(probability);
  const auto edges = magnitude(predicted);
  auto difference = edges - magnitude(sobel(target));
  at::Tensor known;  // like counted, but of edges
  if (counted.defined()) known = 1 - at::max_pool2d(1 - counted, {3, 3}, {1, 1}, {1, 1});
  at::Tensor gradient;
  if (needs_gradient) {
    // The adjoint of a correlation is the correlation with the flipped filter, and Sobel's filters change sign when flipped.
    const auto edge_gradient = difference.sign().div_(edges);
    if (known.defined()) {
      edge_gradient.mul_(known / known.sum({1, 2}, /*keepdim=*/true).clamp_min(1));
    } else {
      edge_gradient.div_(static_cast<double>(logits.size(1) * logits.size(2)));
    }
    gradient = sobel(edge_gradient * predicted.first).first.add_(sobel(edge_gradient * predicted.second).second).neg_();
    gradient.mul_(probability).mul_((-logits).sigmoid());
  }
  difference.abs_();
  return {known.defined() ? mean_counted(difference, known) : difference.flatten(1).mean(1), gradient};
}

}  // namespace

MaskLossKind boundary_loss() { return {"boundary", setting::boundary::boundary_loss_weight, {}, boundary_term}; }

}  // namespace cellsam::loss
