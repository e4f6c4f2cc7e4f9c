// From counts of matched instances to rates. Counts add over images; rates are taken from the sums.
#pragma once

#include <cstdint>

namespace cellsam::metric {

struct Counts {
  std::int64_t truth = 0;
  std::int64_t predicted = 0;
  std::int64_t true_positives = 0;
  double matched_iou_sum = 0;  // over the true positives

  std::int64_t false_positives() const { return predicted - true_positives; }
  std::int64_t false_negatives() const { return truth - true_positives; }
};

// All lie in [0, 1]. With no instance on either side every rate is 1 (nothing to find, nothing invented); with none on just
// one side every rate is 0, also the ones whose quotient is 0/0.
double precision(const Counts& counts);         // TP / (TP + FP)
double recall(const Counts& counts);            // TP / (TP + FN)
double f1(const Counts& counts);                // TP / (TP + FP/2 + FN/2)
double mean_matched_iou(const Counts& counts);  // sum of IoU of the TP / TP
double panoptic_quality(const Counts& counts);  // sum of IoU of the TP / (TP + FP/2 + FN/2); Kirillov et al., CVPR 2019

}  // namespace cellsam::metric
