// Every cell that some detection threshold would find, from one pass through the networks, and the label map at any of these
// thresholds. `predict` is this with nothing below its own threshold, so that both give the same map.
#pragma once

#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/detect.h"
#include "infer/network.h"
#include "infer/predict.h"
#include "infer/stitch.h"

namespace cellsam::infer {

// One tile, or the whole image without tiles.
struct TileCandidates {
  double threshold = 0;             // what the options make of this tile's scores; see threshold.h
  double floor = 0;                 // every detection with a score above is here
  std::vector<Instance> instances;  // best first, in pixels of the image
};

struct Candidates {
  TileGrid grid;
  std::vector<TileCandidates> tiles;

  // The lowest threshold that all tiles can answer.
  double floor() const;
};

// Detects and prompts as `predict` does without user boxes, down to the limits. Throws as `predict` does.
Candidates find_candidates(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                           const CandidateLimits& limits = {}, const Cancelled& cancelled = {});

// The candidates with a score above `threshold`, or above their tile's own, joined over tiles and with overlaps resolved: what
// `predict` answers with bbox_threshold = threshold and adaptive_threshold = false, or with the options of the candidates. Up
// to the rounding of the mask decoder, whose last chunk of prompts is a larger one here. Throws ERR_INVALID_ARGUMENT for a
// threshold below floor().
Prediction assemble(const Candidates& candidates, std::optional<double> threshold, const PredictOptions& options);

}  // namespace cellsam::infer
