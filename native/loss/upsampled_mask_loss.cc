#include "loss/upsampled_mask_loss.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <optional>
#include <sstream>
#include <utility>

#include "engine.h"
#include "loss/cuda_mask_terms.h"
#include "loss/mask_inputs.h"

namespace cellsam::loss {

namespace {

void check(const UpsampledMasks& masks, const MaskLossOptions& options) {
  const auto &logits = masks.logits, &labels = masks.labels, &ids = masks.ids;
  if (logits.dim() != 3 || labels.dim() != 2 || ids.dim() != 1 || ids.size(0) != logits.size(0) || labels.numel() == 0 ||
      logits.size(1) == 0 || logits.size(2) == 0 || masks.canvas < 1 || labels.scalar_type() != at::kInt ||
      ids.scalar_type() != at::kInt) {
    std::ostringstream message;
    message << "an upsampled mask loss needs logits [N,h,w], labels i32 [H,W] and ids i32 [N], got " << logits.sizes() << ", "
            << labels.sizes() << " and " << ids.sizes() << " with a canvas of " << masks.canvas;
    throw Error("ERR_INVALID_ARGUMENT", message.str());
  }
  if (options.focal_weight != 0 && !(options.focal_gamma >= 0)) {
    throw Error("ERR_INVALID_ARGUMENT", "focal loss: gamma must be at least 0");
  }
  if (options.dice_weight != 0 && !(options.dice_smooth > 0)) {
    throw Error("ERR_INVALID_ARGUMENT", "dice loss: smooth must be greater than 0 (0/0 for an empty mask)");
  }
}

// By the kernels of the logits' device; nothing where there are none.
std::optional<UpsampledMaskLoss> fused_loss(const UpsampledMasks& masks, const MaskLossOptions& options) {
  const bool needs_gradient = at::GradMode::is_enabled() && masks.logits.requires_grad();
  std::optional<MaskTerms> terms;
  if (masks.logits.is_cpu()) terms = mask_terms(masks, options, needs_gradient);
  if (masks.logits.is_cuda()) terms = cuda_mask_terms(masks, options, needs_gradient);
  if (!terms) return std::nullopt;
  const auto total = attach(masks.logits, {terms->focal + terms->dice + terms->boundary, terms->gradient});
  return UpsampledMaskLoss{{terms->focal, terms->dice, terms->boundary, total}, terms->iou};
}

// The same as `resize` below as two matrix products: the backward of CUDA's bilinear kernels adds in no fixed order, and torch
// refuses it in deterministic mode.
at::Tensor resize_by_product(const at::Tensor& logits, at::IntArrayRef heights, at::IntArrayRef widths) {
  const auto weights = [&](std::int64_t side, at::IntArrayRef sides) {
    auto rows = at::eye(side, logits.options()).unsqueeze(0);  // [1,side,size] after a resize of its rows
    for (auto size : sides) rows = at::upsample_linear1d(rows, {size}, /*align_corners=*/false);
    return rows;
  };
  return at::matmul(weights(logits.size(1), heights).transpose(1, 2), at::matmul(logits, weights(logits.size(2), widths)));
}

// Low-resolution logits [N,h,w] on the tile [N,H,W], by way of the canvas as SAM's postprocessing does.
at::Tensor resize(const at::Tensor& logits, std::int64_t canvas, std::int64_t height, std::int64_t width) {
  // 256 -> 1024 -> 512 equals 256 -> 512 exactly, borders included: both weigh the same two pixels by .25 and .75.
  const auto is_direct = [&](std::int64_t low, std::int64_t side) { return canvas == 4 * low && canvas == 2 * side; };
  const bool direct = is_direct(logits.size(1), height) && is_direct(logits.size(2), width);
  if (at::globalContext().deterministicAlgorithms()) {
    return resize_by_product(logits, {direct ? height : canvas, height}, {direct ? width : canvas, width});
  }
  auto map = logits.unsqueeze(1);
  const auto step = [&](std::int64_t rows, std::int64_t columns) {
    if (map.size(2) != rows || map.size(3) != columns) map = at::upsample_bilinear2d(map, {rows, columns}, false);
  };
  if (!direct) step(canvas, canvas);
  step(height, width);
  return map.squeeze(1);
}

at::Tensor iou_of(const at::Tensor& logits, const at::Tensor& target, const at::Tensor& ignored, double threshold) {
  auto mask = (logits.detach() > threshold).to(logits.scalar_type());
  if (ignored.defined()) mask = mask.masked_fill(ignored, 0);
  const auto intersection = (mask * target).sum({1, 2});
  const auto together = mask.sum({1, 2}) + target.sum({1, 2}) - intersection;
  return intersection / together.clamp_min(1);
}

UpsampledMaskLoss loss_by_tensors(const UpsampledMasks& masks, const MaskLossOptions& options) {
  const bool wide = masks.logits.scalar_type() == at::kDouble;
  const auto logits =
      resize(masks.logits.to(wide ? at::kDouble : at::kFloat), masks.canvas, masks.labels.size(0), masks.labels.size(1));
  const auto ids = masks.ids.view({-1, 1, 1});
  const auto labels = masks.labels.unsqueeze(0);
  const auto target = at::logical_and(labels == ids, ids != 0).to(logits.scalar_type());
  const auto ignored = masks.ignored ? labels == *masks.ignored : at::Tensor();
  UpsampledMaskLoss result{mask_loss(logits, target, options, ignored), {}};
  if (masks.iou_threshold) result.iou = iou_of(logits, target, ignored, *masks.iou_threshold);
  return result;
}

}  // namespace

UpsampledMaskLoss upsampled_mask_loss(const UpsampledMasks& masks, const MaskLossOptions& options, bool fused) {
  check(masks, options);
  if (fused) {
    if (auto loss = fused_loss(masks, options)) return *std::move(loss);
  }
  return loss_by_tensors(masks, options);
}

}  // namespace cellsam::loss
