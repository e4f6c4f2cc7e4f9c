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
};

// All instances of two label maps and the pairs that share pixels: memory grows with cells and contacts, not their product.
struct OverlapTable {
  std::vector<std::int32_t> truth_ids;      // ascending
  std::vector<std::int32_t> predicted_ids;  // ascending
  std::vector<Overlap> overlaps;            // ascending by (truth, predicted)
};

// One pass over two label maps, i32 [H,W] each, 0 = background; ids need not be consecutive.
// Throws ERR_INVALID_ARGUMENT for other types, unequal shapes or negative ids.
OverlapTable overlap_table(const at::Tensor& truth, const at::Tensor& prediction);

// The one-to-one matching with the largest sum of IoU among pairs with IoU >= threshold, ascending by truth. Above 0.5 an
// instance has at most one partner and the matching is unique; below, it is the optimal assignment, solved by shortest
// augmenting paths (Edmonds and Karp 1972) over the sparse overlaps. Throws ERR_INVALID_ARGUMENT unless 0 < threshold <= 1.
std::vector<Overlap> match(const OverlapTable& table, double threshold);

}  // namespace cellsam::metric
