// Detects cells: CellFinder's boxes above the score threshold.
#pragma once

#include <vector>

#include "infer/network.h"
#include "infer/options.h"

namespace cellsam::infer {

// The detections in one tile, best first, on the CPU.
struct DetectedBoxes {
  at::Tensor boxes;      // f64 [n,4] (x1, y1, x2, y2) in pixels of the tile, not clipped
  at::Tensor scores;     // f32 [n]
  double threshold = 0;  // that the options give, see threshold.h
  double floor = 0;      // all detections with a score above it are included
};

// Which detections below the threshold of the options are wanted too. By default none.
struct CandidateLimits {
  double floor = 1;       // lowest detection score
  std::int64_t most = 0;  // number of detections, best first; those above the threshold are always included
};

// Runs the detector on `tiles` [B,3,h,w] (on the model's device), resized to the model's input, then applies to each the score
// threshold and the box NMS of the options. Waits for the device once. Throws ERR_NON_FINITE.
std::vector<DetectedBoxes> detect(model::CellSam& model, const at::Tensor& tiles, const PredictOptions& options,
                                  const CandidateLimits& limits = {});

}  // namespace cellsam::infer
