// CellSAM holds two image trunks of one shape: SAM's, which masks are cut from, and CellFinder's, which boxes are found on.
#pragma once

#include <cstdint>
#include <string>

#include "model/cellsam.h"

namespace cellsam::engine {

// Where the names of CellFinder's trunk begin.
inline const std::string kBody = "cellfinder.decode_head.backbone.body.";

// "model." or "model_cp.": where the names of the SAM begin that inference uses.
std::string segmenter_prefix(const model::CellSam& model);

enum class Trunk { Encoder, Body };  // SAM's, CellFinder's

// Overwrites the trunk `to` with the other one; SAM's neck stays. Answers how many tensors were copied.
std::int64_t copy_trunk(model::CellSam& model, Trunk to);

}  // namespace cellsam::engine
