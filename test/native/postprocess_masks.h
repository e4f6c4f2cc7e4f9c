// SAM's own way from low-resolution masks to the image, which infer/full_masks.h is compared with. Case 04 of test/parity
// compares it with Python.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>

namespace cellsam::test {

// Mask logits [B,C,h,w] -> logits [B,C,H,W] of the original image: bilinear to the square of the model's input, cropped to the
// part that the image fills, bilinear to the original size (both without antialiasing). Sizes are (height, width).
inline at::Tensor postprocess_masks(const at::Tensor& low_res, std::int64_t image_size, std::array<std::int64_t, 2> input_size,
                                    std::array<std::int64_t, 2> original_size) {
  const auto square = at::upsample_bilinear2d(low_res, {image_size, image_size}, /*align_corners=*/false);
  const auto cropped = square.narrow(2, 0, input_size[0]).narrow(3, 0, input_size[1]);
  return at::upsample_bilinear2d(cropped, original_size, /*align_corners=*/false);
}

}  // namespace cellsam::test
