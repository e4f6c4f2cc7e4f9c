// COCO's average precision, the part of one image: which detections are correct at each IoU threshold, for cells of all sizes
// and of three size classes. lib/evaluation/coco.ts makes the precision-recall curve over all images.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "metric/overlap_table.h"

namespace cellsam::metric {

// All, small, medium, large: bounds of the area in pixels, both inclusive, as in COCO.
constexpr std::array<std::array<double, 2>, 4> kCocoAreas = {{{0, 1e10}, {0, 1024}, {1024, 9216}, {9216, 1e10}}};

enum class Verdict : std::uint8_t { False = 0, True = 1, Ignored = 2 };

struct CocoImage {
  std::array<std::int64_t, 4> truth = {};  // true instances in each size class
  std::vector<std::size_t> order;          // indices of the table's predicted ids, best score first, ties by id
  std::vector<Verdict> verdicts;           // [4,thresholds,detections], detections in this order
};

// Greedy matching as in COCO: each detection, by falling score, takes the free true instance with the largest IoU, which must
// reach the threshold. True instances outside of the size class are taken only if there is no other, and the detection is then
// ignored, as is an unmatched detection outside of it. scores: of table.predicted_ids. The number of detections is not limited.
CocoImage coco_image(const OverlapTable& table, const std::vector<double>& scores, const std::vector<double>& thresholds);

}  // namespace cellsam::metric
