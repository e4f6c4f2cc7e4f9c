// Precision, recall and other rates from counts of matched instances. Counts are summed over images before rates are computed.
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

// All are in [0, 1]. Without any instance, true or predicted, every rate is 1. With instances on one side only every rate is 0,
// also where the quotient is 0/0.
double precision(const Counts& counts);         // TP / (TP + FP)
double recall(const Counts& counts);            // TP / (TP + FN)
double f1(const Counts& counts);                // TP / (TP + FP/2 + FN/2)
double mean_matched_iou(const Counts& counts);  // sum of IoU of the TP / TP
double panoptic_quality(const Counts& counts);  // sum of IoU of the TP / (TP + FP/2 + FN/2); Kirillov et al., CVPR 2019

}  // namespace cellsam::metric
