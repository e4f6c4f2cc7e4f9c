// The cells that any detection threshold down to a floor would find, from one pass through the networks, and the label map at
// any of these thresholds. predict() is the same with its own threshold as floor.
#pragma once

#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/detect.h"
#include "infer/network.h"
#include "infer/prediction.h"
#include "infer/tile_grid.h"

namespace cellsam::infer {

// Of one tile, or of the whole image without tiling.
struct TileCandidates {
  double threshold = 0;             // that the options give for this tile's scores, see threshold.h
  double floor = 0;                 // all detections with a score above it are included
  std::vector<Instance> instances;  // best first, in pixels of the image
};

struct Candidates {
  TileGrid grid;
  std::vector<TileCandidates> tiles;

  // The lowest threshold for which all tiles have all detections.
  double floor() const;
};

// Detects and predicts masks as predict() without boxes, down to the limits. Throws as predict().
Candidates find_candidates(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                           const CandidateLimits& limits = {}, const Cancelled& cancelled = {}, const Each& each_tile = {});

// Joins the candidates with a score above `threshold` over the tiles and resolves overlaps, as predict() does with
// bbox_threshold = threshold and adaptive_threshold = false. Without `threshold` that of each tile counts, as in predict() with
// the options of the candidates. The last bits may differ, as the chunks of prompts in the mask decoder do. Throws
// ERR_INVALID_ARGUMENT for a threshold below floor().
Prediction assemble(const Candidates& candidates, std::optional<double> threshold, const PredictOptions& options);

}  // namespace cellsam::infer
