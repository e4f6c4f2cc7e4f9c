// Where the cells are: CellFinder's boxes that pass the score threshold.
#pragma once

#include "infer/network.h"
#include "infer/options.h"

namespace cellsam::infer {

// What the detector found in one image, best first. On the CPU.
struct DetectedBoxes {
  at::Tensor boxes;      // f64 [n,4] (x1, y1, x2, y2) in pixels of the image, not clipped
  at::Tensor scores;     // f32 [n]
  double threshold = 0;  // of the options; the rest is what the limits ask for
  double floor = 0;      // every detection with a score above is here
};

// What is worth keeping below the threshold of the options.
struct CandidateLimits {
  double floor = 1;       // smallest detection score
  std::int64_t most = 0;  // detections, best first; those above the threshold of the options stay in any case
};

// Runs the detector on `image` [3,H,W], squashed to the model's input; then the score threshold and box NMS of the options.
// Throws ERR_INVALID_ARGUMENT and ERR_NON_FINITE.
DetectedBoxes detect(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                     const CandidateLimits& limits = {});

}  // namespace cellsam::infer
