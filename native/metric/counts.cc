#include "metric/counts.h"

namespace cellsam::metric {
namespace {

double rate(const Counts& counts, double numerator, double denominator) {
  if (counts.truth == 0 && counts.predicted == 0) return 1;
  return denominator > 0 ? numerator / denominator : 0;
}

double true_positives(const Counts& counts) { return static_cast<double>(counts.true_positives); }

double half_of_both_sides(const Counts& counts) { return 0.5 * static_cast<double>(counts.truth + counts.predicted); }

}  // namespace

double precision(const Counts& counts) { return rate(counts, true_positives(counts), static_cast<double>(counts.predicted)); }

double recall(const Counts& counts) { return rate(counts, true_positives(counts), static_cast<double>(counts.truth)); }

// TP + FP/2 + FN/2 is half of all instances of both sides.
double f1(const Counts& counts) { return rate(counts, true_positives(counts), half_of_both_sides(counts)); }

double mean_matched_iou(const Counts& counts) { return rate(counts, counts.matched_iou_sum, true_positives(counts)); }

double panoptic_quality(const Counts& counts) { return rate(counts, counts.matched_iou_sum, half_of_both_sides(counts)); }

}  // namespace cellsam::metric
