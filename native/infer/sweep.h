// What every detection threshold would give against the truth, from one set of candidates and without a label map for each.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/candidates.h"

namespace cellsam::infer {

// All thresholds from the next step's score up to, not including, this one's give these numbers.
struct SweepStep {
  double score = 0;
  std::int64_t predicted = 0;                        // instances
  std::array<std::int64_t, 10> true_positives = {};  // at IoU 0.50, 0.55, .. 0.95
  std::int64_t predicted_pixels = 0;
  std::int64_t shared_pixels = 0;  // with true instances

  bool same(const SweepStep& other) const;
};

struct Sweep {
  std::int64_t truth = 0;  // instances
  std::int64_t truth_pixels = 0;
  double floor = 0;              // the lowest threshold that the steps describe
  std::vector<SweepStep> steps;  // by falling score; above the first one's score nothing is predicted
};

// The steps that assemble() at every distinct score, compared with `truth` i32 [H,W] (-1 = ignored, see
// metric::leave_out_ignored), would give. With rule Score and without remove_boundaries a new candidate touches only its own
// neighbourhood, so thousands of thresholds cost little more than one; else every step makes its own label map.
// Throws ERR_INVALID_ARGUMENT for another shape, and ERR_CANCELLED.
Sweep sweep(const Candidates& candidates, const at::Tensor& truth, const PredictOptions& options,
            const Cancelled& cancelled = {});

}  // namespace cellsam::infer
