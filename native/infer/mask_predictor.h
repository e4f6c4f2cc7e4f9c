// Predicts the masks of boxes in one image. The image is embedded once, as with segment-anything's SamPredictor.
#pragma once

#include <optional>
#include <vector>

#include "infer/mask.h"
#include "infer/network.h"
#include "infer/options.h"

namespace cellsam::infer {

class MaskPredictor {
 public:
  // Embeds `image` [3,H,W], resized to the model's input. Throws ERR_INVALID_ARGUMENT.
  MaskPredictor(model::CellSam& model, const at::Tensor& image, const PredictOptions& options);

  // An instance for each of `boxes` [n,4] (x1, y1, x2, y2 in pixels of the image), in their order; `source` is the row, `score`
  // 0. Leaves out masks without pixels and those whose predicted IoU is below `iou_threshold`. Neither overlaps nor areas
  // count. Throws ERR_NON_FINITE and ERR_CANCELLED.
  std::vector<Instance> predict(const at::Tensor& boxes, double iou_threshold, const Cancelled& cancelled) const;

 private:
  model::CellSam model_;
  PredictOptions options_;
  std::int64_t height_, width_;
  at::Tensor scale_;                               // f64 [4], see model_scale
  at::Tensor embedding_;                           // [1,C,g,g]
  at::Tensor image_pe_;                            // [1,C,g,g]
  std::optional<model::FactoredImages> factored_;  // the embedding for the factored form of the decoder, where that is used
};

}  // namespace cellsam::infer
