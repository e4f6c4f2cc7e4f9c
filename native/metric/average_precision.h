// Average precision of instance segmentation as benchmarks of cells define it (Caicedo et al., Nature Methods 2019):
// AP(t) = TP / (TP + FP + FN) at an IoU threshold t, and its mean over t = 0.50, 0.55, .. 0.95. It uses no detection scores.
#pragma once

#include <vector>

#include "metric/counts.h"
#include "metric/overlap_table.h"

namespace cellsam::metric {

// 0.50, 0.55, .. 0.95
const std::vector<double>& average_precision_thresholds();

// TP / (TP + FP + FN); 1 without any instance, true or predicted.
double average_precision(const Counts& counts);

// The counts of one image at each threshold.
std::vector<Counts> count_matches(const OverlapTable& table, const std::vector<double>& thresholds);

}  // namespace cellsam::metric
