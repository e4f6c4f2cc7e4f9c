// From an image to labelled cells: detect boxes, prompt the mask decoder with them, resolve overlaps; on the whole image or
// tile by tile. It runs without gradients and does not change the model's training mode.
#pragma once

#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/network.h"
#include "infer/options.h"
#include "model/cellsam.h"

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

// Finds the cells of `image` [3,H,W] on any device, u8 in 0..255 or float in 0..1, as data::prepare_image makes it. user_boxes
// [n,4] in pixels of the image replace the detector; no score threshold applies to them. An image that is all black has no
// cells. Throws ERR_INVALID_ARGUMENT (shapes, boxes), ERR_NON_FINITE (the network returned NaN or infinity) and ERR_CANCELLED.
Prediction predict(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                   const std::optional<at::Tensor>& user_boxes = std::nullopt, const Cancelled& cancelled = {});

// Applies resolve_overlaps() to a list of instances.
Prediction to_prediction(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                         const PredictOptions& options);

}  // namespace cellsam::infer
