// The overlaps of two label maps, on which every instance metric is based.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace cellsam::metric {

// Two instances that share at least one pixel. `truth` and `predicted` are indices of the lists in OverlapTable.
struct Overlap {
  std::int64_t truth = 0;
  std::int64_t predicted = 0;
  double iou = 0;
  std::int64_t shared = 0;  // pixels
};

// All instances of two label maps, and the pairs of them that share pixels. It takes memory for these pairs, not for all pairs.
struct OverlapTable {
  std::vector<std::int32_t> truth_ids;        // ascending
  std::vector<std::int32_t> predicted_ids;    // ascending
  std::vector<std::int64_t> truth_areas;      // pixels
  std::vector<std::int64_t> predicted_areas;  // pixels
  std::vector<Overlap> overlaps;              // ascending by (truth, predicted)
};

// Of two label maps i32 [H,W], 0 = background; ids need not be consecutive. Throws ERR_INVALID_ARGUMENT for other types,
// unequal shapes or negative ids.
OverlapTable overlap_table(const at::Tensor& truth, const at::Tensor& prediction);

// Two label maps without ignored pixels.
struct LabelMaps {
  at::Tensor truth;       // i32 [H,W], 0 where it was ignored
  at::Tensor prediction;  // i32 [H,W], likewise, and without the instances that lie at least half in ignored pixels
  at::Tensor ignored;     // bool [H,W]; undefined when nothing is ignored
};

// Removes the ignored pixels, which are -1 in `truth` i32 [H,W], from both. Throws as overlap_table().
LabelMaps leave_out_ignored(const at::Tensor& truth, const at::Tensor& prediction);

}  // namespace cellsam::metric
