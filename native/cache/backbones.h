// The two backbones of CellSAM, SAM's and CellFinder's: vision transformers of one shape, which a stage may train, run frozen,
// or copy to one another.
#pragma once

#include <cstdint>
#include <string>

#include "data/preprocess.h"
#include "device/device.h"
#include "model/cellsam.h"

namespace cellsam::cache {

// Prefix of the names of CellSam::mask_model() in the state dict: "model." or "model_cp.".
std::string mask_model_prefix(const model::CellSam& model);

enum class Backbone { Sam, CellFinder };

// What the features of an image depend on, besides the weights.
struct BackboneSetting {
  Backbone backbone;
  data::Preprocessing preprocessing;
  at::Device device;
  device::Precision precision;
};

// Features [B,g,g,E] of tiles u8 [B,3,T,T] on the host: preprocessing, then the backbone, on the setting's device.
at::Tensor run_backbone(model::CellSam& model, const BackboneSetting& setting, const at::Tensor& tiles);

// Overwrites the weights of the backbone `to` with those of the other
// one. SAM's neck stays. Returns how many tensors were copied.
std::int64_t copy_backbone(model::CellSam& model, Backbone to);

// Switches activation checkpointing of both backbones (see ImageEncoder).
void set_checkpointing(model::CellSam& model, bool on);

}  // namespace cellsam::cache
