// The quality of masks when the boxes are right: it measures the mask model alone, without the detector's mistakes.
#pragma once

#include "infer/predict.h"

namespace cellsam::infer {

struct BoxMaskIou {
  at::Tensor ids;   // i32 [n], the instances of the label map, ascending
  at::Tensor ious;  // f64 [n], IoU of the instance with the mask that its true box prompts
};

// Predicts a mask for the true box of each instance of `labels` i32 [H,W] on `image` [3,H,W]. No mask is left out for its
// predicted IoU, overlaps or area. With options.tile_size, an instance is predicted in the tile that shows most of it, and
// compared as a whole. options.prompt_chunk bounds the memory. Throws as predict().
BoxMaskIou box_mask_iou(model::CellSam& model, const at::Tensor& image, const at::Tensor& labels, const PredictOptions& options,
                        const Cancelled& cancelled = {}, const Each& each_tile = {});

}  // namespace cellsam::infer
