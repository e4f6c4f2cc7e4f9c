#include "infer/scoreboard.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "metric/average_precision.h"

namespace cellsam::infer {

Scoreboard::Scoreboard(const at::Tensor& truth) : truth_(truth.to(at::kCPU).contiguous()) {
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

Share Scoreboard::judge(const Mask& visible) const {
  const auto* pixels = truth_.const_data_ptr<std::int32_t>();
  const auto width = truth_.size(1);
  std::map<std::int32_t, std::int64_t> under;
  for (const auto& run : visible.runs) {
    const auto* row = pixels + run.y * width;
    for (std::int64_t x = run.x; x < run.end;) {
      std::int64_t end = x + 1;
      while (end < run.end && row[end] == row[x]) ++end;
      under[row[x]] += end - x;
      x = end;
    }
  }
  const auto ignored = under.contains(-1) ? under.at(-1) : 0, all = area(visible);
  Share share;
  if (2 * ignored >= all) return share;
  share.counts = true;
  share.pixels = all - ignored;
  for (const auto& [id, shared] : under) {
    if (id <= 0) continue;
    share.shared += shared;
    const auto iou = static_cast<double>(shared) / static_cast<double>(share.pixels + areas_.at(id) - shared);
    // Two true instances can only tie, at exactly 0.5 each, and then just one of them can be matched.
    if (iou < 0.5 || iou <= share.iou) continue;
    share.truth = id;
    share.iou = iou;
  }
  return share;
}

void Scoreboard::change(const Share& share, int sign) {
  if (!share.counts) return;
  now_.predicted += sign;
  now_.predicted_pixels += sign * share.pixels;
  now_.shared_pixels += sign * share.shared;
  if (share.truth == 0) return;
  // Two predictions of one true instance can only tie as well, so it is matched where its best IoU says.
  const auto& thresholds = metric::average_precision_thresholds();
  auto& ious = ious_[share.truth];
  const auto best = [&ious] { return ious.empty() ? 0 : *std::max_element(ious.begin(), ious.end()); };
  const double before = best();
  if (sign > 0) {
    ious.push_back(share.iou);
  } else {
    ious.erase(std::find(ious.begin(), ious.end(), share.iou));
  }
  const double after = best();
  for (std::size_t i = 0; i < thresholds.size(); ++i) {
    now_.true_positives[i] += (after >= thresholds[i]) - (before >= thresholds[i]);
  }
}

}  // namespace cellsam::infer
