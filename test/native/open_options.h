// Options of inference for networks with random weights.
#pragma once

#include <limits>

#include "infer/options.h"

namespace cellsam::test {

// No thresholds, as scores of an untrained model mean nothing.
inline infer::PredictOptions open_options() {
  infer::PredictOptions options;
  options.adaptive_threshold = false;
  options.bbox_threshold = 0;
  options.iou_threshold = -std::numeric_limits<double>::infinity();
  options.mask_threshold = 0.01;
  options.min_area = 1;
  options.min_visible = 0;
  options.overlap = infer::OverlapRule::Official;
  return options;
}

}  // namespace cellsam::test
