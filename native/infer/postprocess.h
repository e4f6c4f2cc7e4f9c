// From the outputs of the detector to boxes in pixels.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace cellsam::infer {

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
