// Metrics of pixels instead of one-to-one matches: overlap of the foreground, SEG, boundary F1.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "metric/overlap_table.h"

namespace cellsam::metric {

struct ForegroundPixels {
  std::int64_t truth = 0;
  std::int64_t predicted = 0;
  std::int64_t shared = 0;
};

ForegroundPixels foreground(const OverlapTable& table);

// The sum over true instances of the Jaccard index with the predicted instance that covers more than half of them; 0 where none
// does. Divided by the number of true instances it is SEG of the Cell Tracking Challenge (Maska et al., Bioinformatics 2014).
double seg_sum(const OverlapTable& table);

struct BoundaryCounts {
  std::int64_t truth = 0;  // boundary pixels
  std::int64_t predicted = 0;
  std::int64_t truth_near = 0;  // those of them with a predicted boundary pixel within the tolerance
  std::int64_t predicted_near = 0;
};

// Counts boundary pixels of label maps i32 [H,W]: pixels of an instance with a 4-neighbour of another label. The image's edge
// is no boundary, nor is the edge of `ignored` (bool [H,W], or undefined). tolerance: Euclidean distance in pixels, 0 to 64.
// Precision = predicted_near / predicted and recall = truth_near / truth give the boundary F1 of Csurka et al. (BMVC 2013),
// here for the outlines of instances. Throws ERR_INVALID_ARGUMENT for a tolerance out of range.
BoundaryCounts boundary_counts(const at::Tensor& truth, const at::Tensor& prediction, const at::Tensor& ignored,
                               double tolerance);

}  // namespace cellsam::metric
