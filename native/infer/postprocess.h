// From the outputs of the networks to boxes and masks in pixels.
#pragma once

#include <array>

#include <ATen/core/Tensor.h>

namespace cellsam::infer {

// Mask logits [B,C,h,w] -> logits [B,C,H,W] of the original image, as SAM does: bilinear to the square of the model's input,
// cropped to the part that the image fills, bilinear to the original size (both without antialiasing). A single step would give
// other values. input_size and original_size are (height, width).
at::Tensor postprocess_masks(const at::Tensor& low_res, std::int64_t image_size, std::array<std::int64_t, 2> input_size,
                             std::array<std::int64_t, 2> original_size);

struct TopDetections {
  at::Tensor scores;  // [k], descending; ties in order of (query, class)
  at::Tensor labels;  // i64 [k], class
  at::Tensor boxes;   // [k,4], (x1, y1, x2, y2) times image_size, not clipped
};

// The k = Q best pairs of query and class of logits [Q,C], with their boxes from boxes [Q,4] (cx, cy, w, h in 0..1). A query
// may occur once for each class.
TopDetections top_detections(const at::Tensor& logits, const at::Tensor& boxes, std::int64_t image_size);

// Greedy non-maximum suppression: the rows i64 [k] of boxes [n,4] (CPU,
// best first) whose IoU with every better kept one is at most max_iou.
at::Tensor suppress_boxes(const at::Tensor& boxes, double max_iou);

}  // namespace cellsam::infer
