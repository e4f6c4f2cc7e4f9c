// Measures that look at pixels instead of one-to-one matches: foreground overlap, SEG, boundary F1.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "metric/match.h"

namespace cellsam::metric {

struct ForegroundPixels {
  std::int64_t truth = 0;
  std::int64_t predicted = 0;
  std::int64_t shared = 0;
};

ForegroundPixels foreground(const OverlapTable& table);

// The sum over true instances of their Jaccard index with the predicted instance that covers more than half of them, 0 where
// none does. Divided by the number of true instances it is SEG of the Cell Tracking Challenge (Maska et al., 2014).
double seg_sum(const OverlapTable& table);

struct BoundaryCounts {
  std::int64_t truth = 0;  // boundary pixels
  std::int64_t predicted = 0;
  std::int64_t truth_near = 0;  // of them, with a boundary pixel of the other side within the tolerance
  std::int64_t predicted_near = 0;
};

// Boundary pixels of label maps i32 [H,W]: pixels of an instance with a 4-neighbour of another value. The image's edge is no
// boundary, nor is the edge of what is `ignored` (bool [H,W] or undefined). `tolerance` in pixels, Euclidean, at most 64.
// Precision = predicted_near / predicted and recall = truth_near / truth make the boundary F1 of Csurka et al., BMVC 2013, here
// on the outlines of instances. Throws ERR_INVALID_ARGUMENT.
BoundaryCounts boundary_counts(const at::Tensor& truth, const at::Tensor& prediction, const at::Tensor& ignored,
                               double tolerance);

}  // namespace cellsam::metric
