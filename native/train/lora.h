// Which matrices of a backbone learn by LoRA (optim/low_rank.h).
#pragma once

#include <string>

#include "base/options.h"
#include "model/cellsam.h"
#include "optim/low_rank.h"

namespace cellsam::train {

struct LoraOptions {
  optim::LowRank low_rank;
  std::string layers;  // "attention", "mlp" or "all"
};

// Reads lora_rank, lora_alpha (by default the rank) and lora_layers.
LoraOptions read_lora_options(Options& options);

// The weights of `backbone` that learn: without LoRA all of them. With it, of the chosen layers of each ViT block the matrices:
// qkv and proj of the attention, lin1 and lin2 of the MLP. Throws ERR_INVALID_ARGUMENT where LoRA finds none, since no backbone
// trains.
model::NamedTensors learning_weights(const model::NamedTensors& backbone, const LoraOptions& lora);

}  // namespace cellsam::train
