// The choices of inference, in one struct that `predict`, `box_mask_iou` and their callers share.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>

#include "base/options.h"
#include "data/preprocess.h"
#include "settings/inference.h"

namespace cellsam::infer {

enum class OverlapRule {
  Score,    // the higher score keeps the pixels
  Official  // the lower score keeps them, as label = max over (index + 1) * mask does in the official code
};

constexpr OverlapRule overlap_rule(std::string_view name) {
  return name == "official" ? OverlapRule::Official : OverlapRule::Score;
}

// The most tiles and prompts that the memory has turned out to hold at once. Any thread may use it.
struct BatchLimits {
  std::atomic<std::int64_t> tiles = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::int64_t> prompts = std::numeric_limits<std::int64_t>::max();
};

struct PredictOptions {
  // Detection score; see adaptive_threshold.
  double bbox_threshold = setting::inference::bbox_threshold.default_value;
  // threshold.h's rule, as in the official code; false: bbox_threshold itself.
  bool adaptive_threshold = setting::inference::adaptive_threshold.default_value;
  // Boxes that overlap a better one by more than this IoU are dropped; 1: none.
  double nms_iou = setting::inference::nms_iou.default_value;
  // Smallest IoU that the mask decoder predicts for its own mask.
  double iou_threshold = setting::inference::iou_threshold.default_value;
  // Of the mask's sigmoid.
  double mask_threshold = setting::inference::mask_threshold.default_value;
  // Pixels.
  std::int64_t min_area = setting::inference::min_area.default_value;
  OverlapRule overlap = overlap_rule(setting::inference::overlap.default_value);
  // Score only: an instance that keeps a smaller share of its mask is dropped.
  double min_visible = setting::inference::min_visible.default_value;
  // Score only: a cell keeps only the largest connected piece of its mask.
  bool largest_piece = setting::inference::largest_piece.default_value;
  // Clears a pixel line between a label and what is left of or below it.
  bool remove_boundaries = setting::inference::remove_boundaries.default_value;
  // Boxes that go through the mask decoder together; 0: see batch_limits.h.
  std::int64_t prompt_chunk = setting::inference::prompt_chunk.default_value;
  // The mask decoder in its factored form (docs/math.md) on a CPU; false: always as it is written in the paper.
  bool factored_decoder = setting::inference::factored_decoder.default_value;
  // Pixels; 0: the whole image is squashed to the model's input.
  std::int64_t tile_size = 0;
  // Of neighbouring tiles.
  double tile_overlap = setting::inference::tile_overlap.default_value;
  // Tiles that go through the networks together; 0: see batch_limits.h.
  std::int64_t tile_batch = setting::inference::tile_batch.default_value;

  // The owner of the weights sets the following; they are no options of a caller.
  // Which inputs the weights expect.
  data::Preprocessing preprocessing = data::Preprocessing::Plain;
  // A session gives all its images the same, so that only one of them finds out.
  std::shared_ptr<BatchLimits> limits = std::make_shared<BatchLimits>();
};

// Reads the fields above but the last two by their names. The caller calls options.done(). Throws ERR_INVALID_ARGUMENT for a
// value out of range.
PredictOptions read_predict_options(Options& options);

}  // namespace cellsam::infer
