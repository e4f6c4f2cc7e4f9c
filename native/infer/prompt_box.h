// A box in place of points and masks, for a network that was trained with boxes alone. The point and mask embeddings of such a
// network are still random numbers: with cellsam-tiny no click found its nucleus (docs/embedding.md has the figures), while the
// boxes of its detector answer nearly all of them.
#pragma once

#include <array>
#include <cstdint>

#include "infer/detect.h"
#include "infer/prompt.h"

namespace cellsam::infer {

// Which detections box_of() can use: also those far below the threshold of a prediction, as the person who clicks knows that
// there is a cell.
CandidateLimits prompt_box_limits();

// The box of the prompt or of its mask, else, of `detected` in the same tile of height x width pixels, the one with the highest
// product of its score and how far in its middle the first point on the cell lies, else one of the usual size around the point.
// Each point on the cell then widens the box to hold it with a margin, and each point beside it cuts the box there, on the side
// on which the least is lost, unless that takes a point on the cell with it. In pixels of the tile.
std::array<double, 4> box_of(const Prompt& prompt, const DetectedBoxes& detected, std::int64_t height, std::int64_t width);

}  // namespace cellsam::infer
