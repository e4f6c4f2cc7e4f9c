// What turns raw network answers into boxes and full-size masks.
#pragma once

#include <array>

#include <ATen/core/Tensor.h>

namespace cellsam::infer {

// Mask logits [B,C,h,w] to logits [B,C,H,W] of the original image: bilinear to the square model input, crop to the part that
// the image fills, bilinear to the original size (both without antialiasing). Two steps on purpose: one would give other
// values. `input_size` and `original_size` are (height, width).
at::Tensor postprocess_masks(const at::Tensor& low_res, std::int64_t image_size, std::array<std::int64_t, 2> input_size,
                             std::array<std::int64_t, 2> original_size);

struct TopDetections {
  at::Tensor scores;  // [k], descending; ties in order of (query, class)
  at::Tensor labels;  // i64 [k], class
  at::Tensor boxes;   // [k,4], (x1, y1, x2, y2) times image_size, not clipped
};

// The k best (query, class) pairs of `logits` [Q,C], k = Q, with their boxes (`boxes` [Q,4], normalised centre and size). A
// query may appear once for each class.
TopDetections top_detections(const at::Tensor& logits, const at::Tensor& boxes, std::int64_t image_size);

// Greedy box NMS: the rows of `boxes` [n,4] (CPU, best first) that overlap no better kept one by more than `max_iou`, i64 [k].
at::Tensor suppress_boxes(const at::Tensor& boxes, double max_iou);

}  // namespace cellsam::infer
