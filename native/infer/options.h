// The choices of inference, in one struct that `predict`, `box_mask_iou` and their callers share.
#pragma once

#include <cstdint>
#include <string>

#include "base/options.h"
#include "data/preprocess.h"

namespace cellsam::infer {

enum class OverlapRule {
  Score,    // the higher score keeps the pixels
  Official  // the lower score keeps them, as label = max over (index + 1) * mask does in the official code
};

struct PredictOptions {
  double bbox_threshold = 0.4;     // detection score; see adaptive_threshold
  bool adaptive_threshold = true;  // threshold.h's rule, as in the official code; false = bbox_threshold itself
  double nms_iou = 1.0;            // boxes that overlap a better one by more than this IoU are dropped; 1 = off
  double iou_threshold = 0.5;      // smallest IoU that the mask decoder predicts for its own mask
  double mask_threshold = 0.4;     // of the mask's sigmoid
  std::int64_t min_area = 25;      // pixels
  OverlapRule overlap = OverlapRule::Score;
  double min_visible = 0.5;        // Score only: an instance that keeps a smaller share of its mask is dropped
  bool largest_piece = true;       // Score only: a cell keeps only the largest connected piece of its mask
  bool remove_boundaries = false;  // clears a pixel line between a label and what is left of or below it
  std::int64_t prompt_chunk = 32;  // boxes that go through the mask decoder together
  bool factored_decoder = true;    // the mask decoder in its faster formulation; false = as it is written in the paper
  std::int64_t tile_size = 0;      // pixels; 0 = the whole image is squashed to the model's input
  double tile_overlap = 0.25;      // of neighbouring tiles

  // Which inputs the weights expect. The owner of the weights sets it; it is no option of a caller.
  data::Preprocessing preprocessing = data::Preprocessing::Plain;
};

// Reads the fields above but `preprocessing` by their names; `overlap` is "score" or "official". The caller calls
// options.done(). Throws ERR_INVALID_ARGUMENT for a value out of range.
PredictOptions read_predict_options(Options& options);

}  // namespace cellsam::infer
