// CellSAM holds two image backbones of one shape: SAM's, which masks are cut from, and CellFinder's, which boxes are found on.
#pragma once

#include <cstdint>
#include <string>

#include "data/preprocess.h"
#include "device/device.h"
#include "model/cellsam.h"

namespace cellsam::cache {

// "model." or "model_cp.": where the names of the SAM begin that inference uses.
std::string mask_model_prefix(const model::CellSam& model);

enum class Backbone { Sam, CellFinder };

// What decides about a backbone's output beside its weights and the picture.
struct BackboneSetting {
  Backbone backbone;
  data::Preprocessing preprocessing;
  at::Device device;
  device::Precision precision;
};

// What the backbone answers [B,g,g,E] for tiles u8 [B,3,T,T] of the host, prepared as it expects them.
at::Tensor run_backbone(model::CellSam& model, const BackboneSetting& setting, const at::Tensor& tiles);

// Overwrites the backbone `to` with the other one; SAM's neck stays. Answers how many tensors were copied.
std::int64_t copy_backbone(model::CellSam& model, Backbone to);

// Whether the blocks of both backbones that a stage may train keep only their inputs for backward
// (ImageEncoder::set_checkpointing).
void set_checkpointing(model::CellSam& model, bool on);

}  // namespace cellsam::cache
