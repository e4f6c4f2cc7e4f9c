// From low-resolution mask logits to masks of the image's size. On the CPU logits are upsampled only where a mask can be, not
// for the whole image.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"

namespace cellsam::infer {

// The steps of postprocess_masks: to a square of `canvas` pixels a side, then to height x width.
struct MaskSize {
  std::int64_t canvas, height, width;
};

// For each of the (finite) logits [N,h,w] the pixels whose probability after postprocess_masks is above `threshold` (0..1). On
// the CPU both steps are one, with the product of their weights, which differs in rounding only.
std::vector<Mask> full_masks(const at::Tensor& logits, const MaskSize& size, double threshold);

}  // namespace cellsam::infer
