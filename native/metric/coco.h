// One image's part of COCO's average precision: which detections are right at each IoU threshold, for cells of all sizes and of
// three size classes. The curve over all images is made from these (lib/evaluation/coco.ts).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "metric/match.h"

namespace cellsam::metric {

// All, small, medium, large: bounds of the area in pixels, both inclusive, as in COCO.
constexpr std::array<std::array<double, 2>, 4> kCocoAreas = {{{0, 1e10}, {0, 1024}, {1024, 9216}, {9216, 1e10}}};

enum class Verdict : std::uint8_t { False = 0, True = 1, Ignored = 2 };

struct CocoImage {
  std::array<std::int64_t, 4> truth = {};  // true instances of each size class
  std::vector<std::size_t> order;          // positions in the table's predicted ids, best score first, ties by id
  std::vector<Verdict> verdicts;           // [4, thresholds, detections in `order`]
};

// Greedy as in COCO: detections by falling score, each takes the free true instance with the largest IoU of at least the
// threshold; true instances outside of the size class come last and make what they match ignored, as is an unmatched detection
// outside of it. `scores` belong to table.predicted_ids. No cap on detections.
CocoImage coco_image(const OverlapTable& table, const std::vector<double>& scores, const std::vector<double>& thresholds);

}  // namespace cellsam::metric
