// From a mask's low-resolution logits to its pixels. On the CPU no map of the image's size is made on the way: only where a
// mask can be is anything upsampled.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"

namespace cellsam::infer {

// By way of a square map of `canvas` pixels a side to one of height x width.
struct MaskSize {
  std::int64_t canvas, height, width;
};

// For each of the finite logits [N,h,w]: the pixels whose probability exceeds `threshold` (0..1) after postprocess_masks. On
// the CPU its two steps are one, which differs in rounding only.
std::vector<Mask> full_masks(const at::Tensor& logits, const MaskSize& size, double threshold);

}  // namespace cellsam::infer
