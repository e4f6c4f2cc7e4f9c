#include "loss/dense.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/upload.h"

namespace cellsam::loss {
namespace {

constexpr double kMiddle = 0.3;    // of a cell's width and height, on each side of its centre
constexpr double kNearest = 0.55;  // of the distance of two tokens: a little more than half, so that every cell has one

constexpr std::int64_t kNone = -1;

// The cell of boxes [T,4] float64 that the token at (x, y) learns, or kNone. step_x, step_y: distance of two tokens.
std::int64_t cell_at(double x, double y, double step_x, double step_y, const at::Tensor& boxes) {
  std::int64_t best = kNone;
  double least = std::numeric_limits<double>::infinity();
  const auto* box = boxes.const_data_ptr<double>();
  for (std::int64_t cell = 0; cell < boxes.size(0); ++cell, box += 4) {
    const double across = std::abs(x - box[0]), down = std::abs(y - box[1]);
    if (across >= std::max(kMiddle * box[2], kNearest * step_x) || down >= std::max(kMiddle * box[3], kNearest * step_y))
      continue;
    const double distance = std::pow(across / box[2], 2) + std::pow(down / box[3], 2);
    if (distance < least) {
      least = distance;
      best = cell;
    }
  }
  return best;
}

// ignored: [H,W] uint8 without gaps, or undefined.
bool is_ignored(const at::Tensor& ignored, double x, double y) {
  if (!ignored.defined()) return false;
  const auto row = static_cast<std::int64_t>(y * static_cast<double>(ignored.size(0)));
  const auto column = static_cast<std::int64_t>(x * static_cast<double>(ignored.size(1)));
  return ignored.const_data_ptr<std::uint8_t>()[row * ignored.size(1) + column] != 0;
}

// Corners of boxes cx, cy, width, height [n,4].
std::pair<at::Tensor, at::Tensor> corners(const at::Tensor& boxes) {
  const auto centre = boxes.slice(1, 0, 2), half = boxes.slice(1, 2) / 2;
  return {centre - half, centre + half};
}

// 1 - GIoU (Rezatofighi et al., CVPR 2019) of pairs of boxes [n,4].
at::Tensor giou_loss(const at::Tensor& boxes, const at::Tensor& truth) {
  const auto [low, high] = corners(boxes);
  const auto [true_low, true_high] = corners(truth);
  const auto area = [](const at::Tensor& sides) { return sides.select(1, 0) * sides.select(1, 1); };
  const auto overlap = area((at::minimum(high, true_high) - at::maximum(low, true_low)).clamp_min(0));
  const auto hull = area(at::maximum(high, true_high) - at::minimum(low, true_low));
  const auto joined = area(boxes.slice(1, 2)) + area(truth.slice(1, 2)) - overlap;
  return 2 - overlap / joined - joined / hull;
}

}  // namespace

TokenTargets token_targets(const std::vector<Targets>& targets, std::int64_t height, std::int64_t width) {
  const auto images = std::ssize(targets), tokens = height * width;
  TokenTargets found{at::zeros({images, tokens}), at::ones({images, tokens}), {}, {}};
  auto* is_cell = found.is_cell.data_ptr<float>();
  auto* weight = found.class_weight.data_ptr<float>();
  std::vector<std::int64_t> learning;
  std::vector<at::Tensor> boxes;
  const double step_x = 1.0 / static_cast<double>(width), step_y = 1.0 / static_cast<double>(height);
  for (std::int64_t image = 0; image < images; ++image) {
    const auto& truth = targets[static_cast<std::size_t>(image)];
    const auto wide = truth.boxes.to(at::kCPU, at::kDouble).contiguous();
    const auto ignored = truth.ignored.defined() ? truth.ignored.to(at::kByte).contiguous() : at::Tensor();
    std::vector<std::int64_t> cells(static_cast<std::size_t>(tokens)), count(static_cast<std::size_t>(wide.size(0)), 0), learnt;
    for (std::int64_t token = 0; token < tokens; ++token) {
      const double x = (static_cast<double>(token % width) + 0.5) * step_x,
                   y = (static_cast<double>(token / width) + 0.5) * step_y;
      const auto cell = cells[static_cast<std::size_t>(token)] = cell_at(x, y, step_x, step_y, wide);
      const auto at = image * tokens + token;
      if (cell == kNone) {
        if (is_ignored(ignored, x, y)) weight[at] = 0;
        continue;
      }
      is_cell[at] = 1;
      ++count[static_cast<std::size_t>(cell)];
      learning.push_back(at);
      learnt.push_back(cell);
    }
    for (std::int64_t token = 0; token < tokens; ++token) {
      const auto cell = cells[static_cast<std::size_t>(token)];
      if (cell != kNone) weight[image * tokens + token] = 1 / static_cast<float>(count[static_cast<std::size_t>(cell)]);
    }
    boxes.push_back(wide.index_select(0, at::tensor(learnt, at::kLong)));
  }
  found.token = at::tensor(learning, at::kLong);
  found.boxes = at::cat(boxes);
  return found;
}

at::Tensor dense_loss(const at::Tensor& logits, const at::Tensor& boxes, std::int64_t height, std::int64_t width,
                      const std::vector<Targets>& targets, const DetectionLossOptions& options) {
  const auto wanted = token_targets(targets, height, width);
  const auto here = [&](const at::Tensor& host) { return upload(host, logits.device()); };
  const auto is_cell = here(wanted.is_cell).to(logits.scalar_type()), token = here(wanted.token);
  const auto weight = here(wanted.class_weight).to(logits.scalar_type());

  const auto probability = logits.sigmoid();
  const auto wrong = at::where(is_cell > 0, 1 - probability, probability);  // of the class that is not the token's
  const auto alpha = is_cell * options.focal_alpha + (1 - is_cell) * (1 - options.focal_alpha);
  const auto ce =
      (at::binary_cross_entropy_with_logits(logits, is_cell, {}, {}, at::Reduction::None) * alpha * wrong.square() * weight)
          .sum();

  const auto truth = here(wanted.boxes).to(boxes.scalar_type());
  const auto predicted = boxes.flatten(0, 1).index_select(0, token), share = weight.flatten().index_select(0, token);
  const auto bbox = ((predicted - truth).abs().sum(1) * share).sum();
  const auto giou = (giou_loss(predicted, truth) * share).sum();

  std::int64_t cells = 0;
  for (const auto& image : targets) cells += image.boxes.size(0);
  const auto total = options.ce_weight * ce + options.bbox_weight * bbox + options.giou_weight * giou;
  return total / static_cast<double>(std::max<std::int64_t>(1, cells));
}

}  // namespace cellsam::loss
