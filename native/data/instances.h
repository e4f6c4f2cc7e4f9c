// The instances (cells) of a label map and their boxes, which the losses compare predictions with.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cellsam::data {

// The label of pixels that are neither cell nor background: no loss looks at them.
constexpr std::int32_t kIgnore = -1;

struct Instances {
  // f32 [n,4] as (x1, y1, x2, y2) in tile pixels. Half-open: a cell of 9 columns has width 9. (In the Python module boxes ended
  // on the last pixel, and a cell of one pixel had no width.)
  at::Tensor boxes;
  at::Tensor ids;            // i32 [n], ascending
  bool has_ignored = false;  // whether some pixels have the label kIgnore
};

// Every id above 0 of `labels` i32 [H,W].
Instances find_instances(const at::Tensor& labels);

// Boxes [n,4] as (x1, y1, x2, y2) in pixels -> (cx, cy, w, h) as fractions of `width` and `height`.
at::Tensor to_normalized(const at::Tensor& boxes, std::int64_t height, std::int64_t width);

}  // namespace cellsam::data
