// CellSAM holds two image trunks of one shape: SAM's, which masks are cut from, and CellFinder's, which boxes are found on.
#pragma once

#include <cstdint>
#include <string>

#include "data/preprocess.h"
#include "device/device.h"
#include "model/cellsam.h"

namespace cellsam::cache {

// Where the names of CellFinder's trunk begin.
inline const std::string kBody = "cellfinder.decode_head.backbone.body.";

// "model." or "model_cp.": where the names of the SAM begin that inference uses.
std::string segmenter_prefix(const model::CellSam& model);

enum class Trunk { Encoder, Body };  // SAM's, CellFinder's

// What decides about a trunk's output beside its weights and the picture.
struct TrunkSetting {
  Trunk trunk;
  data::Preprocessing preprocessing;
  at::Device device;
  device::Precision precision;
};

// What the trunk answers [B,g,g,E] for tiles u8 [B,3,T,T] of the host, prepared as it expects them.
at::Tensor run_trunk(model::CellSam& model, const TrunkSetting& setting, const at::Tensor& tiles);

// Overwrites the trunk `to` with the other one; SAM's neck stays. Answers how many tensors were copied.
std::int64_t copy_trunk(model::CellSam& model, Trunk to);

// Whether the blocks of both trunks that a stage may train keep only their inputs for backward
// (ImageEncoder::set_checkpointing).
void set_checkpointing(model::CellSam& model, bool on);

}  // namespace cellsam::cache
