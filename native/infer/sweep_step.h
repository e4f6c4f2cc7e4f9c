// Counts of one label map against the truth, of those that a sweep over thresholds compares.
#pragma once

#include <array>
#include <cstdint>

namespace cellsam::infer {

// Counts of all thresholds from the next step's score up to this one's, which is excluded.
struct SweepStep {
  double score = 0;
  std::int64_t predicted = 0;                        // instances
  std::array<std::int64_t, 10> true_positives = {};  // at IoU 0.50, 0.55, .. 0.95
  std::int64_t predicted_pixels = 0;
  std::int64_t shared_pixels = 0;  // with true instances

  // Whether all counts are the same; the score does not matter.
  bool same(const SweepStep& other) const {
    return predicted == other.predicted && true_positives == other.true_positives &&
           predicted_pixels == other.predicted_pixels && shared_pixels == other.shared_pixels;
  }
};

}  // namespace cellsam::infer
