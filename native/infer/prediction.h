// The cells of an image as the caller gets them: a label map and lists of their properties.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/options.h"

namespace cellsam::infer {

// On the CPU. Row i of every list belongs to the instance with id i + 1. Instances are ordered by falling score; with boxes of
// the user and OverlapRule::Official they have the order of the boxes. An image without cells has n = 0 and labels that are all
// zero.
struct Prediction {
  at::Tensor labels;  // i32 [H,W]
  at::Tensor scores;  // f64 [n], detection score; the predicted IoU where the user gave the boxes
  at::Tensor boxes;   // f64 [n,4], the prompt box, (x1, y1, x2, y2) in pixels of the image
  at::Tensor ious;    // f64 [n], IoU that the mask decoder expects of its mask
  at::Tensor source;  // i64 [n], the row of user_boxes; -1 without them
};

// Applies resolve_overlaps() to a list of instances.
Prediction to_prediction(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                         const PredictOptions& options);

}  // namespace cellsam::infer
