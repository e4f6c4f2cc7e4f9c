// Detects cells: CellFinder's boxes above the score threshold.
#pragma once

#include "infer/network.h"
#include "infer/options.h"

namespace cellsam::infer {

// The detections in one image, best first, on the CPU.
struct DetectedBoxes {
  at::Tensor boxes;      // f64 [n,4] (x1, y1, x2, y2) in pixels of the image, not clipped
  at::Tensor scores;     // f32 [n]
  double threshold = 0;  // that the options give, see threshold.h
  double floor = 0;      // all detections with a score above it are included
};

// Which detections below the threshold of the options are wanted too. By default none.
struct CandidateLimits {
  double floor = 1;       // lowest detection score
  std::int64_t most = 0;  // number of detections, best first; those above the threshold are always included
};

// Runs the detector on `image` [3,H,W], resized to the model's input, then applies the score threshold and the box NMS of the
// options. Throws ERR_INVALID_ARGUMENT and ERR_NON_FINITE.
DetectedBoxes detect(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                     const CandidateLimits& limits = {});

}  // namespace cellsam::infer
