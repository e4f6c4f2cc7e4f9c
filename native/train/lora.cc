#include "train/lora.h"

#include "engine.h"
#include "settings/training.h"

namespace cellsam::train {

LoraOptions read_lora_options(Options& options) {
  LoraOptions lora;
  lora.low_rank.rank = options.read(setting::training::lora_rank);
  const auto alpha = options.read(setting::training::lora_alpha);
  if (alpha && lora.low_rank.rank > 0) lora.low_rank.scale = *alpha / static_cast<double>(lora.low_rank.rank);
  lora.layers = options.read(setting::training::lora_layers);
  return lora;
}

model::NamedTensors learning_weights(const model::NamedTensors& backbone, const LoraOptions& lora) {
  if (lora.low_rank.rank == 0) return backbone;
  model::NamedTensors matrices;
  for (const auto& entry : backbone) {
    const auto& name = entry.first;
    const bool attention = name.ends_with(".attn.qkv.weight") || name.ends_with(".attn.proj.weight");
    const bool mlp = name.ends_with(".mlp.lin1.weight") || name.ends_with(".mlp.lin2.weight");
    if ((attention && lora.layers != "mlp") || (mlp && lora.layers != "attention")) matrices.push_back(entry);
  }
  if (matrices.empty())
    throw Error("ERR_INVALID_ARGUMENT", "lora_rank is for a backbone that trains, and none trains with these options");
  return matrices;
}

}  // namespace cellsam::train
