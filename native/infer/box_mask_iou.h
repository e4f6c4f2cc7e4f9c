// How good the masks are when the boxes are right: the mask model alone, free of the detector's mistakes.
#pragma once

#include "infer/predict.h"

namespace cellsam::infer {

struct BoxMaskIou {
  at::Tensor ids;   // i32 [n], the instances of the label map, ascending
  at::Tensor ious;  // f64 [n], IoU of the mask prompted by the instance's true box with the instance
};

// Prompts each instance of `labels` i32 [H,W] with its own tight half-open box on `image` [3,H,W]. Nothing is filtered: neither
// predicted IoU, overlaps nor areas count. With options.tile_size set, an instance is prompted in the tile that shows most of
// it, and compared as a whole. Memory is bounded by options.prompt_chunk. Throws as `predict` does.
BoxMaskIou box_mask_iou(model::CellSam& model, const at::Tensor& image, const at::Tensor& labels, const PredictOptions& options,
                        const Cancelled& cancelled = {});

}  // namespace cellsam::infer
