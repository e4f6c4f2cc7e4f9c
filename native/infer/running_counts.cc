#include "infer/running_counts.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "metric/average_precision.h"

namespace cellsam::infer {

RunningCounts::RunningCounts(const at::Tensor& truth) : truth_(truth.to(at::kCPU).contiguous()) {
  const auto* pixels = truth_.const_data_ptr<std::int32_t>();
  const std::int64_t count = truth_.numel();
  for (std::int64_t i = 0; i < count;) {
    std::int64_t end = i + 1;
    while (end < count && pixels[end] == pixels[i]) ++end;
    if (pixels[i] > 0) {
      areas_[pixels[i]] += end - i;
      truth_pixels_ += end - i;
    }
    i = end;
  }
}

Contribution RunningCounts::contribution_of(const Mask& visible) const {
  const auto* pixels = truth_.const_data_ptr<std::int32_t>();
  const auto width = truth_.size(1);
  std::map<std::int32_t, std::int64_t> pixels_of;  // the truth's labels under the instance
  for (const auto& run : visible.runs) {
    const auto* row = pixels + run.y * width;
    for (std::int64_t x = run.x; x < run.end;) {
      std::int64_t end = x + 1;
      while (end < run.end && row[end] == row[x]) ++end;
      pixels_of[row[x]] += end - x;
      x = end;
    }
  }
  const auto ignored = pixels_of.contains(-1) ? pixels_of.at(-1) : 0, all = area(visible);
  Contribution contribution;
  if (2 * ignored >= all) return contribution;
  contribution.counts = true;
  contribution.pixels = all - ignored;
  for (const auto& [id, shared] : pixels_of) {
    if (id <= 0) continue;
    contribution.shared += shared;
    const auto iou = static_cast<double>(shared) / static_cast<double>(contribution.pixels + areas_.at(id) - shared);
    // Only one true instance can have a larger IoU. Two can have exactly 0.5 each, of which one is matched.
    if (iou < 0.5 || iou <= contribution.iou) continue;
    contribution.truth = id;
    contribution.iou = iou;
  }
  return contribution;
}

void RunningCounts::change(const Contribution& contribution, int sign) {
  if (!contribution.counts) return;
  now_.predicted += sign;
  now_.predicted_pixels += sign * contribution.pixels;
  now_.shared_pixels += sign * contribution.shared;
  if (contribution.truth == 0) return;
  // For the same reason a true instance counts as matched at a threshold if its largest IoU reaches it.
  const auto& thresholds = metric::average_precision_thresholds();
  auto& ious = ious_[contribution.truth];
  const auto best = [&ious] { return ious.empty() ? 0 : *std::max_element(ious.begin(), ious.end()); };
  const double before = best();
  if (sign > 0) {
    ious.push_back(contribution.iou);
  } else {
    ious.erase(std::find(ious.begin(), ious.end(), contribution.iou));
  }
  const double after = best();
  for (std::size_t i = 0; i < thresholds.size(); ++i) {
    now_.true_positives[i] += (after >= thresholds[i]) - (before >= thresholds[i]);
  }
}

}  // namespace cellsam::infer
