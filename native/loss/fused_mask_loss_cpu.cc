#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "base/axis_taps.h"
#include "base/parallel.h"
#include "kernels/mask_loss_kernel.h"
#include "loss/fused_mask_loss.h"

namespace cellsam::loss {

namespace {

struct PixelCounts {
  std::int64_t counted, known;  // pixels that are not ignored, and those whose 3x3 window meets no ignored one
};

PixelCounts count_pixels(const at::Tensor& labels, std::int32_t ignored) {
  const auto height = labels.size(0), width = labels.size(1);
  const auto* label = labels.const_data_ptr<std::int32_t>();
  const auto pitch = width + 2;
  std::vector<std::uint8_t> hidden(pitch * (height + 2), 0), across(hidden.size(), 0);
  PixelCounts counts{height * width, height * width};
  for (std::int64_t y = 0; y < height; ++y) {
    auto* row = hidden.data() + (y + 1) * pitch + 1;
    for (std::int64_t x = 0; x < width; ++x) row[x] = label[y * width + x] == ignored ? 1 : 0;
    auto* windows = across.data() + (y + 1) * pitch + 1;
    for (std::int64_t x = 0; x < width; ++x) windows[x] = row[x - 1] | row[x] | row[x + 1];
  }
  for (std::int64_t y = 0; y < height; ++y) {
    const auto* row = hidden.data() + (y + 1) * pitch + 1;
    const auto* windows = across.data() + (y + 1) * pitch + 1;
    std::int64_t counted = 0, known = 0;
    for (std::int64_t x = 0; x < width; ++x) {
      counted += row[x];
      known += windows[x - pitch] | windows[x] | windows[x + pitch];
    }
    counts.counted -= counted;
    counts.known -= known;
  }
  return counts;
}

template <class Number>
FusedMaskLoss compute(const UpsampledMasks& masks, const FusedLosses& losses, bool needs_gradient) {
  const auto logits = masks.logits.detach().to(at::CppTypeToScalarType<Number>::value).contiguous();
  const auto labels = masks.labels.contiguous(), ids = masks.ids.contiguous();
  const auto n = logits.size(0);
  const AxisTaps<Number> rows({logits.size(1), masks.canvas, labels.size(0)});
  const AxisTaps<Number> columns({logits.size(2), masks.canvas, labels.size(1)});
  const auto counts = masks.ignored ? count_pixels(labels, *masks.ignored) : PixelCounts{labels.numel(), labels.numel()};
  const auto counted = static_cast<double>(std::max<std::int64_t>(1, counts.counted));
  const bool has_alpha = losses.focal_alpha >= 0;

  kernels::MaskTask<Number> plan{};
  plan.rows = rows.view();
  plan.columns = columns.view();
  plan.labels = labels.const_data_ptr<std::int32_t>();
  plan.ignores = masks.ignored && counts.counted < labels.numel();
  plan.ignored = masks.ignored.value_or(0);
  plan.focal_target = static_cast<Number>(losses.focal_weight / counted * (has_alpha ? losses.focal_alpha : 1));
  plan.focal_other = static_cast<Number>(losses.focal_weight / counted * (has_alpha ? 1 - losses.focal_alpha : 1));
  plan.focal_gamma = static_cast<Number>(losses.focal_gamma);
  plan.boundary = static_cast<Number>(losses.boundary_weight / static_cast<double>(std::max<std::int64_t>(1, counts.known)));
  plan.dice = static_cast<Number>(losses.dice_weight);
  plan.dice_smooth = losses.dice_smooth;
  plan.overlap = masks.iou_threshold.has_value();
  plan.threshold = static_cast<Number>(masks.iou_threshold.value_or(0));

  FusedMaskLoss found{logits.new_empty({n, 3}), {}, {}};
  if (plan.overlap) found.iou = logits.new_empty({n});
  if (needs_gradient) found.gradient = at::empty_like(logits);
  auto* terms = found.terms.template data_ptr<Number>();
  auto* iou = plan.overlap ? found.iou.template data_ptr<Number>() : nullptr;
  auto* gradient = needs_gradient ? found.gradient.template data_ptr<Number>() : nullptr;
  const auto* logit = logits.template const_data_ptr<Number>();
  const auto* id = ids.const_data_ptr<std::int32_t>();
  const auto pixels = logits.size(1) * logits.size(2);
  const auto kernel = kernels::mask_kernel<Number>(kernels::isa());
  parallel_for(0, n, 1, [&](std::int64_t begin, std::int64_t end) {
    auto task = plan;
    task.gradient = gradient;
    const auto memory = at::empty({static_cast<std::int64_t>(kernel.memory(task))}, at::kByte);
    for (auto i = begin; i < end; ++i) {
      task.logits = logit + i * pixels;
      task.id = id[i];
      task.present = id[i] != 0;
      task.gradient = gradient == nullptr ? nullptr : gradient + i * pixels;
      const auto sums = kernel.run(task, static_cast<std::byte*>(memory.data_ptr()));
      auto* term = terms + 3 * i;
      term[0] = losses.focal_weight == 0 ? 0 : static_cast<Number>(sums.focal);
      term[1] = plan.dice == 0 ? 0 : static_cast<Number>(sums.dice);
      term[2] = plan.boundary == 0 ? 0 : static_cast<Number>(sums.boundary);
      if (iou == nullptr) continue;
      const auto together = std::max<std::int64_t>(1, sums.mask_pixels + sums.target_pixels - sums.overlap_pixels);
      iou[i] = static_cast<Number>(static_cast<double>(sums.overlap_pixels) / static_cast<double>(together));
    }
  });
  return found;
}

}  // namespace

FusedMaskLoss fused_mask_loss_cpu(const UpsampledMasks& masks, const FusedLosses& losses, bool needs_gradient) {
  at::NoGradGuard no_grad;
  if (masks.logits.scalar_type() == at::kDouble) return compute<double>(masks, losses, needs_gradient);
  return compute<float>(masks, losses, needs_gradient);
}

}  // namespace cellsam::loss
