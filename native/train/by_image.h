// Training of a small network on a CPU: each image of a batch goes forward and backward on a thread of its own, which takes its
// operations alone. Threads inside of such small operators wait for each other most of the time (model/small_tiles.h).
#pragma once

#include <functional>
#include <memory>

#include "base/workers.h"
#include "train/stage.h"

namespace cellsam::train {

// Opens a stage on the network that is given: the session's own, or one that shares its weights.
using OpenStage = std::function<std::unique_ptr<Stage>(model::CellSam&)>;

// The stage of `model`, with batches divided into images where it can be (Stage::divides). Losses are those of the batch, but
// for rounding; they and the gradients are added up in the order of the images, so that they do not depend on the number of
// threads. workers: null for one thread, the caller's; else they outlive the stage.
std::unique_ptr<Stage> open_by_image(model::CellSam& model, const OpenStage& open, Workers* workers);

}  // namespace cellsam::train
