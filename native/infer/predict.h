// From an image to labelled cells: detect boxes, prompt the mask decoder with them, resolve overlaps; on the whole image or
// tile by tile. All of it runs without gradients and leaves the model's training mode as it was.
#pragma once

#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/network.h"
#include "infer/options.h"
#include "model/cellsam.h"

namespace cellsam::infer {

// Row i of every list is the instance with id i + 1; scores do not rise (rule Score; with user boxes and rule Official the
// order is that of the boxes). On the CPU. An image without cells has n = 0 and an all-zero label map.
struct Prediction {
  at::Tensor labels;  // i32 [H,W]
  at::Tensor scores;  // f64 [n], detection score; the predicted IoU where the user gave the boxes
  at::Tensor boxes;   // f64 [n,4], the prompt box, (x1, y1, x2, y2) in pixels of the image
  at::Tensor ious;    // f64 [n], IoU that the mask decoder expects of its own mask
  at::Tensor source;  // i64 [n], the row of user_boxes that the instance came from; -1 without user boxes
};

// Finds the cells of `image` [3,H,W], u8 0..255 or float 0..1 (data::prepare_image's answer), on any device. `user_boxes`
// [n,4] in pixels replace the detector; they meet no score threshold. An all-black image has no cells.
// Throws ERR_INVALID_ARGUMENT (shapes, boxes), ERR_NON_FINITE (the network answered NaN or infinity), ERR_CANCELLED
// (`cancelled`).
Prediction predict(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                   const std::optional<at::Tensor>& user_boxes = std::nullopt, const Cancelled& cancelled = {});

// The instances that resolve_overlaps keeps of a list, with their rows.
Prediction to_prediction(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                         const PredictOptions& options);

}  // namespace cellsam::infer
