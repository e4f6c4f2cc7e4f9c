// Who owns a pixel that several masks claim: from a list of instances to one label map.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/options.h"

namespace cellsam::infer {

struct Resolved {
  at::Tensor labels;               // i32 [H,W], ids 1..n without gaps
  std::vector<std::int64_t> kept;  // id i + 1 is instances[kept[i]]
};

// Applies options.overlap, min_area, min_visible and remove_boundaries.
// Score: instances come in order of falling score. Each, its holes filled, takes what better ones left of its mask, or nothing
// if that is less than min_visible of it or than min_area; then its pixels stay free for the next. With largest_piece a cell is
// one piece: islands go before the mask is measured, and what better cells cut off goes after.
// Official: a later instance takes the pixels of earlier ones; then each label in turn fills its holes (with whatever lies in
// them), or vanishes if it is smaller than min_area.
Resolved resolve_overlaps(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                          const PredictOptions& options);

}  // namespace cellsam::infer
