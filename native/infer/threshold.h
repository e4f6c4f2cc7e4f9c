// CellSAM's rule for which detections count: a threshold between a fixed
// value and the middle between two clusters of the scores.
#pragma once

#include <array>

#include <ATen/core/Tensor.h>

namespace cellsam::infer {

// The two centres that scikit-learn's KMeans(n_clusters=2, random_state=42) finds for `scores` f32 [n], n >= 2 (CPU), in its
// order: k-means++ with fixed random numbers, then Lloyd's iteration, which may stop in a local optimum as in the official
// CellSAM. The optimal clusters would move the threshold by up to 0.05.
std::array<double, 2> two_means(const at::Tensor& scores);

// 0.66 * bbox_threshold + 0.33 * mean of the two centres (so in the official code, although the factors add up to 0.99); with
// fewer than two scores bbox_threshold. A detection counts if its score is above it.
double score_threshold(const at::Tensor& scores, double bbox_threshold);

}  // namespace cellsam::infer
