#include "infer/postprocess.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

namespace cellsam::infer {

TopDetections top_detections(const at::Tensor& logits, const at::Tensor& boxes, std::int64_t image_size) {
  const auto queries = logits.size(0), classes = logits.size(1);
  // A stable sort, not topk, keeps the order of equal scores, so that every run gives the same ids.
  const auto [scores, order] = at::sort(logits.sigmoid().flatten(), /*stable=*/true, /*dim=*/0, /*descending=*/true);
  const auto best = order.narrow(0, 0, queries);
  const auto chosen = boxes.index_select(0, best.floor_divide(classes));
  const auto centre = chosen.slice(1, 0, 2), half = chosen.slice(1, 2, 4) * 0.5;
  return {scores.narrow(0, 0, queries), best.remainder(classes), at::cat({centre - half, centre + half}, 1) * image_size};
}

at::Tensor suppress_boxes(const at::Tensor& boxes, double max_iou) {
  const auto plain = boxes.to(at::kDouble).contiguous();
  const auto at = plain.accessor<double, 2>();
  const auto area = [&](std::int64_t i) { return std::max(0.0, at[i][2] - at[i][0]) * std::max(0.0, at[i][3] - at[i][1]); };
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < plain.size(0); ++i) {
    const auto covers = [&](std::int64_t better) {
      const double width = std::min(at[i][2], at[better][2]) - std::max(at[i][0], at[better][0]);
      const double height = std::min(at[i][3], at[better][3]) - std::max(at[i][1], at[better][1]);
      const double shared = std::max(0.0, width) * std::max(0.0, height);
      return shared > max_iou * (area(i) + area(better) - shared);
    };
    if (max_iou >= 1 || std::none_of(kept.begin(), kept.end(), covers)) kept.push_back(i);
  }
  return at::tensor(kept, at::kLong);
}

}  // namespace cellsam::infer
