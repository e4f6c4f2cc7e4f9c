// Predicts the masks of boxes in tiles. Each tile is embedded once, as with segment-anything's SamPredictor.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "infer/mask.h"
#include "infer/network.h"
#include "infer/options.h"
#include "infer/tile_prompts.h"

namespace cellsam::infer {

class MaskPredictor {
 public:
  // Embeds `tiles` [B,3,h,w] (on the model's device), resized to the model's input.
  MaskPredictor(model::CellSam& model, const at::Tensor& tiles, const PredictOptions& options);

  // Takes an instance of one of the tiles.
  using Take = std::function<void(std::size_t tile, Instance instance)>;

  // Calls `take` with an instance for each of `boxes`, which are f64 [n,4] (x1, y1, x2, y2 in pixels of the tile, on the CPU)
  // for each tile, in their order; `source` is the row, `score` 0. Leaves out masks without pixels and those whose predicted
  // IoU is below `iou_threshold`. Neither overlaps nor areas count. Waits for the device once, and once more for each 256 MB of
  // masks at the decoder's resolution. Throws ERR_NON_FINITE and ERR_CANCELLED.
  void predict(const std::vector<at::Tensor>& boxes, double iou_threshold, const Cancelled& cancelled, const Take& take) const;

 private:
  using Parts = std::vector<TilePrompts::Part>;
  // Outputs of the mask decoder for prompts from `begin` on, on the host or on their way there.
  struct Outputs {
    std::int64_t begin;
    at::Tensor logits, ious;  // [n,h,w], [n]
  };

  model::Masks decode(const Parts& parts, const at::Tensor& model_boxes) const;
  at::Tensor embeddings_of(const Parts& parts) const;  // [1,C,g,g] where all prompts are of one tile, else [n,C,g,g]
  void take_masks(const Outputs& outputs, const TilePrompts& prompts, double iou_threshold, const Take& take) const;

  mutable model::CellSam model_;  // a shared pointer to networks, whose methods are not const
  PredictOptions options_;
  std::int64_t height_, width_;
  at::Tensor scale_;                               // f64 [4], see model_scale
  at::Tensor embeddings_;                          // [B,C,g,g]
  at::Tensor image_pe_;                            // [1,C,g,g]
  std::optional<model::FactoredImages> factored_;  // the embeddings for the factored form of the decoder, where that is used
};

}  // namespace cellsam::infer
