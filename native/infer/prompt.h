// What the cells look like: boxes in, masks out, with the image embedded once.
#pragma once

#include <optional>
#include <vector>

#include "infer/mask.h"
#include "infer/network.h"
#include "infer/options.h"

namespace cellsam::infer {

class Prompter {
 public:
  // Embeds `image` [3,H,W], squashed to the model's input. Throws ERR_INVALID_ARGUMENT.
  Prompter(model::CellSam& model, const at::Tensor& image, const PredictOptions& options);

  // The mask that each of `boxes` [n,4] (pixels of the image) prompts, in their order; `source` = row, `score` = 0. Masks whose
  // predicted IoU is below `iou_threshold` and masks without a pixel are left out; no overlap rule, no minimum area.
  // Throws ERR_NON_FINITE and ERR_CANCELLED.
  std::vector<Instance> masks(const at::Tensor& boxes, double iou_threshold, const Cancelled& cancelled) const;

 private:
  model::CellSam model_;
  PredictOptions options_;
  std::int64_t height_, width_;
  at::Tensor scale_;                               // f64 [4]
  at::Tensor embedding_;                           // [1,C,g,g]
  at::Tensor position_;                            // [1,C,g,g]
  std::optional<model::FactoredImages> factored_;  // the same for the decoder's factored formulation, where it is used
};

}  // namespace cellsam::infer
