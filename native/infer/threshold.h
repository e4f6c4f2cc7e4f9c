// The official rule for which detections count: a threshold between a fixed value and the gap that k-means sees in the scores.
#pragma once

#include <array>

#include <ATen/core/Tensor.h>

namespace cellsam::infer {

// The two centres that scikit-learn's KMeans(n_clusters=2, random_state=42) finds for `scores` f32 [n], n >= 2 (CPU), lower
// index first in its own order: k-means++ with fixed random numbers, then Lloyd's iteration, which may stop in a local optimum
// as it does in the official CellSAM. The best split is not a substitute; it moves the threshold by up to 0.05.
std::array<double, 2> two_means(const at::Tensor& scores);

// 0.66 * bbox_threshold + 0.33 * mean of the two centres; bbox_threshold itself for fewer than two scores. A detection counts
// if its score is strictly above. (The weights add up to 0.99 in the official code.)
double score_threshold(const at::Tensor& scores, double bbox_threshold);

}  // namespace cellsam::infer
