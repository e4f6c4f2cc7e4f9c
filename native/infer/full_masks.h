// From low-resolution mask logits to masks of the image's size. Logits are upsampled only where a mask can be, not for the
// whole image. Those of a GPU come to the host first: they are no more bytes than the masks of a tile half as large as the
// model's input.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"

namespace cellsam::infer {

// Bilinear to a square of `canvas` pixels a side, the model's input, then to height x width (both without antialiasing), as SAM
// does. A single step would give other values.
struct MaskSize {
  std::int64_t canvas, height, width;
};

// For each of the (finite) logits [N,h,w] (CPU) the pixels whose probability after both steps is above `threshold` (0..1). The
// steps are done as one, with the product of their weights, which differs in rounding only.
std::vector<Mask> full_masks(const at::Tensor& logits, const MaskSize& size, double threshold);

}  // namespace cellsam::infer
