// The counts that every detection threshold would give against the
// truth, from one set of candidates and without a label map for each.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/candidates.h"
#include "infer/sweep_step.h"

namespace cellsam::infer {

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
