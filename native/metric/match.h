// One-to-one matching of predicted and true instances.
#pragma once

#include <vector>

#include "metric/overlap_table.h"

namespace cellsam::metric {

// The one-to-one matching with the largest sum of IoU among pairs with IoU >= threshold, ascending by truth. Above 0.5 an
// instance has at most one partner, so the matching is unique. Below, it is an optimal assignment, solved by shortest
// augmenting paths (Edmonds and Karp, 1972) over the pairs that overlap. Throws ERR_INVALID_ARGUMENT unless 0 < threshold <= 1.
std::vector<Overlap> match(const OverlapTable& table, double threshold);

// DeepCell's matching, ascending by truth: the assignment of least cost where a pair costs 1 - IoU and an instance without a
// partner costs cutoff1. So a pair is possible only if 1 - IoU < cutoff1: for "IoU above t" pass cutoff1 = 1 - t. Where one of
// a pair lies at least half in the other, its IoU counts as at least cutoff2; the result has the true IoU. Throws
// ERR_INVALID_ARGUMENT unless 0 < cutoff1 <= 1 and 0 <= cutoff2 <= 1.
std::vector<Overlap> match_deepcell(const OverlapTable& table, double cutoff1, double cutoff2);

}  // namespace cellsam::metric
