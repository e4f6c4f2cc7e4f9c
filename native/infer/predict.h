// From an image to labelled cells: detect boxes, prompt the mask decoder with them, resolve overlaps; on the whole image or
// tile by tile. It runs without gradients and does not change the model's training mode.
#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

#include "infer/network.h"
#include "infer/options.h"
#include "infer/prediction.h"
#include "model/cellsam.h"

namespace cellsam::infer {

// Finds the cells of `image` [3,H,W] (CPU), u8 in 0..255 or float in 0..1, as data::prepare_image makes it. user_boxes
// [n,4] in pixels of the image replace the detector; no score threshold applies to them. An image that is all black has no
// cells. Throws ERR_INVALID_ARGUMENT (shapes, boxes), ERR_NON_FINITE (the network returned NaN or infinity) and ERR_CANCELLED.
Prediction predict(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                   const std::optional<at::Tensor>& user_boxes = std::nullopt, const Cancelled& cancelled = {},
                   const Each& each_tile = {});

}  // namespace cellsam::infer
