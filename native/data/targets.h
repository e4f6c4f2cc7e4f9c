// What the losses compare with, from a label map: its instances and their boxes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cellsam::data {

// Boxes end one pixel behind the last one of the instance (half-open), so a 9-pixel-wide cell has width 9. With 0, boxes end
// on the last pixel, as in the Python module, where a cell of one pixel has no width.
constexpr int kBoxEnd = 1;

// The label of pixels of which nobody knows what they show: neither cell nor background, left out of every loss.
constexpr std::int32_t kIgnore = -1;

struct Instances {
  at::Tensor boxes;      // f32 [n,4], (x1, y1, x2, y2) in tile pixels
  at::Tensor ids;        // i32 [n], ascending
  bool ignores = false;  // some pixels have the label kIgnore
};

// Every id above 0 of `labels` i32 [H,W], in one pass over the pixels.
Instances find_instances(const at::Tensor& labels);

// Boxes [n,4], (x1, y1, x2, y2) in pixels, as (cx, cy, w, h) in fractions of the width and height.
at::Tensor to_normalized(const at::Tensor& boxes, std::int64_t height, std::int64_t width);

}  // namespace cellsam::data
