#include "metric/average_precision.h"

#include "metric/match.h"

namespace cellsam::metric {

const std::vector<double>& average_precision_thresholds() {
  // Written out, since sums of 0.05 would be a rounding error above some of these numbers.
  static const std::vector<double> thresholds = {0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95};
  return thresholds;
}

double average_precision(const Counts& counts) {
  const auto all = counts.true_positives + counts.false_positives() + counts.false_negatives();
  return all == 0 ? 1 : static_cast<double>(counts.true_positives) / static_cast<double>(all);
}

std::vector<Counts> count_matches(const OverlapTable& table, const std::vector<double>& thresholds) {
  std::vector<Counts> counted;
  for (const double threshold : thresholds) {
    Counts counts;
    counts.truth = static_cast<std::int64_t>(table.truth_ids.size());
    counts.predicted = static_cast<std::int64_t>(table.predicted_ids.size());
    for (const auto& pair : match(table, threshold)) {
      ++counts.true_positives;
      counts.matched_iou_sum += pair.iou;
    }
    counted.push_back(counts);
  }
  return counted;
}

}  // namespace cellsam::metric
