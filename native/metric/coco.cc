#include "metric/coco.h"

#include <algorithm>
#include <numeric>

namespace cellsam::metric {
namespace {

bool within(std::int64_t area, const std::array<double, 2>& bounds) {
  return static_cast<double>(area) >= bounds[0] && static_cast<double>(area) <= bounds[1];
}

}  // namespace

CocoImage coco_image(const OverlapTable& table, const std::vector<double>& scores, const std::vector<double>& thresholds) {
  const auto detections = table.predicted_ids.size();
  CocoImage image;
  image.order.resize(detections);
  std::iota(image.order.begin(), image.order.end(), std::size_t{0});
  std::stable_sort(image.order.begin(), image.order.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
  std::vector<std::vector<const Overlap*>> touching(detections);
  for (const auto& overlap : table.overlaps) touching[overlap.predicted].push_back(&overlap);

  for (std::size_t size = 0; size < kCocoAreas.size(); ++size) {
    const auto& bounds = kCocoAreas[size];
    const auto counts = [&](const Overlap& overlap) { return within(table.truth_areas[overlap.truth], bounds); };
    image.truth[size] =
        std::count_if(table.truth_areas.begin(), table.truth_areas.end(), [&](auto area) { return within(area, bounds); });
    for (const double threshold : thresholds) {
      std::vector<bool> taken(table.truth_ids.size(), false);
      for (const auto detection : image.order) {
        const Overlap* best = nullptr;
        for (const auto* overlap : touching[detection]) {
          if (taken[overlap->truth] || overlap->iou < threshold) continue;
          // One in the size class is better than any other; of equal ones the last is taken, as in COCO.
          const bool better = best == nullptr || counts(*overlap) > counts(*best) ||
                              (counts(*overlap) == counts(*best) && overlap->iou >= best->iou);
          if (better) best = overlap;
        }
        if (best != nullptr) taken[best->truth] = true;
        const bool judged = best != nullptr ? counts(*best) : within(table.predicted_areas[detection], bounds);
        image.verdicts.push_back(!judged ? Verdict::Ignored : best != nullptr ? Verdict::True : Verdict::False);
      }
    }
  }
  return image;
}

}  // namespace cellsam::metric
