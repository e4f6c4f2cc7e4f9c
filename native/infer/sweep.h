// The counts that every detection threshold would give against the truth, from one set of candidates and without a label map
// for each.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/candidates.h"

namespace cellsam::infer {

// Counts of all thresholds from the next step's score up to this one's, which is excluded.
struct SweepStep {
  double score = 0;
  std::int64_t predicted = 0;                        // instances
  std::array<std::int64_t, 10> true_positives = {};  // at IoU 0.50, 0.55, .. 0.95
  std::int64_t predicted_pixels = 0;
  std::int64_t shared_pixels = 0;  // with true instances

  bool same(const SweepStep& other) const;  // but for the score
};

struct Sweep {
  std::int64_t truth = 0;  // instances
  std::int64_t truth_pixels = 0;
  double floor = 0;              // the lowest threshold that the steps describe
  std::vector<SweepStep> steps;  // by falling score; at and above the first score nothing is predicted
};

// Compares what assemble() makes at every distinct score with `truth` i32 [H,W] (-1 = ignored, see metric::leave_out_ignored).
// With OverlapRule::Score and without remove_boundaries a further candidate changes only its neighbourhood, so that thousands
// of thresholds take little more time than one; otherwise each makes a label map of its own. Throws ERR_INVALID_ARGUMENT for
// another shape, and ERR_CANCELLED.
Sweep sweep(const Candidates& candidates, const at::Tensor& truth, const PredictOptions& options,
            const Cancelled& cancelled = {});

}  // namespace cellsam::infer
