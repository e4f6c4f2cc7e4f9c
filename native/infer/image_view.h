// An image that stays open for prompts: each of its tiles is embedded once, when a prompt first needs it, and the ones that
// were needed last are kept. What predict() does with boxes, for a person who points at cells one after another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/detect.h"
#include "infer/mask_predictor.h"
#include "infer/network.h"
#include "infer/options.h"
#include "infer/prompt.h"
#include "infer/tile_grid.h"

namespace cellsam::infer {

// Which prompts the network understands.
enum class TrainedPrompts {
  All,   // as SAM
  Boxes  // see prompt_box.h
};

// A prompt in pixels of the image. It is answered in `tile`, that of the answer which its mask comes from, or without a tile in
// the one that shows best what the prompt shows of the cell.
struct ImagePrompt {
  Prompt prompt;
  std::optional<std::size_t> tile;
};

// The cell of one prompt, on the CPU.
struct PromptedCell {
  Mask mask;  // in pixels of the image; empty where the network finds nothing
  double iou = 0;
  at::Tensor logits;     // f32 [4g,4g], for the `mask` of a later prompt
  std::size_t tile = 0;  // which they belong to
};

struct Detections {
  at::Tensor boxes;   // f64 [n,4], (x1, y1, x2, y2) in pixels of the image
  at::Tensor scores;  // f64 [n], descending
};

// Any number of threads may use a view.
class ImageView {
 public:
  // image as in predict(). most_tiles: how many tiles' embeddings are kept, at least 1.
  ImageView(model::CellSam model, at::Tensor image, const PredictOptions& options, TrainedPrompts trained,
            std::size_t most_tiles);

  const TileGrid& grid() const { return grid_; }

  // The cells of prompts, in their order. A cell is what predict() would paint for it if there were no other, however small and
  // however low its expected IoU. Throws ERR_INVALID_ARGUMENT for a prompt with a point on the cell outside of its tile or a
  // mask of another tile or size, ERR_NON_FINITE and ERR_CANCELLED.
  std::vector<PromptedCell> segment(const std::vector<ImagePrompt>& prompts, const Cancelled& cancelled, const Each& each);

  // The boxes that predict() would make cells of, those of several tiles for the same cell counted once by their overlap.
  Detections detect(const Cancelled& cancelled, const Each& each_tile);

  // Embeds the image if it is a single tile, for the first prompt to be answered as quickly as the others.
  void prepare();

 private:
  using Embedded = std::shared_ptr<const MaskPredictor>;

  std::vector<std::size_t> tiles_of(const std::vector<ImagePrompt>& prompts) const;
  Prompt checked(const ImagePrompt& prompt, std::size_t tile) const;  // in pixels of the tile
  Prompt as_box(const Prompt& prompt, std::size_t tile);
  Embedded embedded(std::size_t tile);
  PromptedCell cell_of(PromptedMask masked, std::size_t tile) const;
  void detect_in(at::ArrayRef<std::size_t> tiles, const Cancelled& cancelled, const Each& each_tile);

  model::CellSam model_;
  const at::Tensor image_;
  const PredictOptions options_;
  const TrainedPrompts trained_;
  const std::size_t most_tiles_;
  const TileGrid grid_;

  std::mutex mutex_;
  std::deque<std::pair<std::size_t, Embedded>> embedded_;  // under mutex_; the tile that was needed last comes first
  std::map<std::size_t, DetectedBoxes> detected_;          // under mutex_; by tile, in its pixels
};

}  // namespace cellsam::infer
