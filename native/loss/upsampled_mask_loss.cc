#include "loss/upsampled_mask_loss.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <array>
#include <optional>
#include <sstream>
#include <utility>

#include "engine.h"
#include "loss/mask_inputs.h"
#include "settings/dice.h"
#include "settings/focal.h"

namespace cellsam::loss {

namespace {

void check(const UpsampledMasks& masks) {
  const auto &logits = masks.logits, &labels = masks.labels, &ids = masks.ids;
  if (logits.dim() != 3 || labels.dim() != 2 || ids.dim() != 1 || ids.size(0) != logits.size(0) || labels.numel() == 0 ||
      logits.size(1) == 0 || logits.size(2) == 0 || masks.canvas < 1 || labels.scalar_type() != at::kInt ||
      ids.scalar_type() != at::kInt) {
    std::ostringstream message;
    message << "an upsampled mask loss needs logits [N,h,w], labels i32 [H,W] and ids i32 [N], got " << logits.sizes() << ", "
            << labels.sizes() << " and " << ids.sizes() << " with a canvas of " << masks.canvas;
    throw Error("ERR_INVALID_ARGUMENT", message.str());
  }
}

// Where focal, dice and boundary loss stand in the table.
const std::array<std::size_t, 3>& fused_columns() {
  static const std::array columns{mask_loss_index("focal"), mask_loss_index("dice"), mask_loss_index("boundary")};
  return columns;
}

// [N,k] in the order of the table, from [N,3] of the kernels.
at::Tensor in_table_order(const at::Tensor& terms) {
  const auto count = static_cast<std::int64_t>(mask_losses().size());
  if (count == 3 && fused_columns() == std::array<std::size_t, 3>{0, 1, 2}) return terms;
  auto all = terms.new_zeros({terms.size(0), count});
  for (std::int64_t i = 0; i < 3; ++i) {
    all.select(1, static_cast<std::int64_t>(fused_columns()[static_cast<std::size_t>(i)])).copy_(terms.select(1, i));
  }
  return all;
}

// By the kernels of the logits' device; nothing where there are none, or where they do not know a loss that counts.
std::optional<UpsampledMaskLoss> fused_loss(const UpsampledMasks& masks, const MaskLossOptions& options) {
  const auto losses = fused_losses(options);
  if (!losses) return std::nullopt;
  const bool needs_gradient = at::GradMode::is_enabled() && masks.logits.requires_grad();
  std::optional<FusedMaskLoss> found;
  if (masks.logits.is_cpu()) found = fused_mask_loss_cpu(masks, *losses, needs_gradient);
  if (masks.logits.is_cuda()) found = fused_mask_loss_cuda(masks, *losses, needs_gradient);
  if (!found) return std::nullopt;
  const auto term = [&](std::int64_t i) { return found->terms.select(1, i); };
  const auto total = attach(masks.logits, {term(0) + term(1) + term(2), found->gradient});
  return UpsampledMaskLoss{{in_table_order(found->terms), total}, found->iou};
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

std::optional<FusedLosses> fused_losses(const MaskLossOptions& options) {
  const auto& [focal, dice, boundary] = fused_columns();
  for (std::size_t i = 0; i < mask_losses().size(); ++i) {
    if (options.weight(i) != 0 && i != focal && i != dice && i != boundary) return std::nullopt;
  }
  return FusedLosses{options.weight(focal),
                     options.settings(focal)[setting::focal::focal_alpha],
                     options.settings(focal)[setting::focal::focal_gamma],
                     options.weight(dice),
                     options.settings(dice)[setting::dice::dice_smooth],
                     options.weight(boundary)};
}

UpsampledMaskLoss upsampled_mask_loss(const UpsampledMasks& masks, const MaskLossOptions& options, bool fused) {
  check(masks);
  if (fused) {
    if (auto loss = fused_loss(masks, options)) return *std::move(loss);
  }
  return loss_by_tensors(masks, options);
}

}  // namespace cellsam::loss
