// Which predicted instance is which true one: the overlaps of two label maps, and the one-to-one matching over them. Every
// instance metric of this family starts here.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace cellsam::metric {

// Two instances that share at least one pixel. `truth` and `predicted` are positions in the id lists of OverlapTable.
struct Overlap {
  std::int64_t truth = 0;
  std::int64_t predicted = 0;
  double iou = 0;
  std::int64_t shared = 0;  // pixels
};

// All instances of two label maps and the pairs that share pixels: memory grows with cells and contacts, not their product.
struct OverlapTable {
  std::vector<std::int32_t> truth_ids;        // ascending
  std::vector<std::int32_t> predicted_ids;    // ascending
  std::vector<std::int64_t> truth_areas;      // pixels
  std::vector<std::int64_t> predicted_areas;  // pixels
  std::vector<Overlap> overlaps;              // ascending by (truth, predicted)
};

// One pass over two label maps, i32 [H,W] each, 0 = background; ids need not be consecutive.
// Throws ERR_INVALID_ARGUMENT for other types, unequal shapes or negative ids.
OverlapTable overlap_table(const at::Tensor& truth, const at::Tensor& prediction);

// Two label maps without ignore regions.
struct Judged {
  at::Tensor truth;       // i32 [H,W], 0 where it was ignored
  at::Tensor prediction;  // i32 [H,W], likewise, and without the instances that lie at least half in ignored pixels
  at::Tensor ignored;     // bool [H,W]; undefined when nothing is ignored
};

// `truth` i32 [H,W] may hold -1 for "ignore": there nothing is right or wrong. Throws as overlap_table.
Judged leave_out_ignored(const at::Tensor& truth, const at::Tensor& prediction);

// The one-to-one matching with the largest sum of IoU among pairs with IoU >= threshold, ascending by truth. Above 0.5 an
// instance has at most one partner and the matching is unique; below, it is the optimal assignment, solved by shortest
// augmenting paths (Edmonds and Karp 1972) over the sparse overlaps. Throws ERR_INVALID_ARGUMENT unless 0 < threshold <= 1.
std::vector<Overlap> match(const OverlapTable& table, double threshold);

// DeepCell's matching: the assignment of least cost in which a pair costs 1 - IoU and an instance left alone costs `cutoff1`,
// so a pair counts only if 1 - IoU < cutoff1, strictly: for "IoU above t" pass cutoff1 = 1 - t. Before, a pair of which one
// lies at least half in the other gets an IoU of at least `cutoff2`. Ascending by truth, with the true IoU. Throws
// ERR_INVALID_ARGUMENT unless 0 < cutoff1 <= 1 and 0 <= cutoff2 <= 1.
std::vector<Overlap> match_deepcell(const OverlapTable& table, double cutoff1, double cutoff2);

}  // namespace cellsam::metric
