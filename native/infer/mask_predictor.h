// Predicts the masks of prompts in tiles. Each tile is embedded once, as with segment-anything's SamPredictor.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "infer/mask.h"
#include "infer/network.h"
#include "infer/options.h"
#include "infer/prompt.h"
#include "infer/tile_prompts.h"

namespace cellsam::infer {

// The answer to one prompt, on the CPU.
struct PromptedMask {
  Mask mask;          // in pixels of the tile
  double iou = 0;     // that the mask decoder expects of it
  at::Tensor logits;  // f32 [4g,4g], before the mask was brought to the tile's size
};

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

  // The mask of one prompt, in pixels of the tile; with `multimask` that of SAM's three with the highest expected IoU. Any
  // number of threads may call it. Throws ERR_NON_FINITE.
  PromptedMask segment(std::size_t tile, const Prompt& prompt) const;

 private:
  using Parts = std::vector<TilePrompts::Part>;
  // Outputs of the mask decoder for prompts from `begin` on, on the host or on their way there.
  struct Outputs {
    std::int64_t begin;
    at::Tensor logits, ious;  // [n,h,w], [n]
  };

  model::PromptEmbeddings encode(const Prompt& prompt) const;
  // own_dense: whether the prompts have dense maps of their own, of masks, which the factored form does not know.
  model::Masks decode(const Parts& parts, const model::PromptEmbeddings& prompts, bool multimask, bool own_dense) const;
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
