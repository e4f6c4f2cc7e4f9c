#include "cache/backbones.h"

#include <ATen/ATen.h>

#include <map>

namespace cellsam::cache {

std::string segmenter_prefix(const model::CellSam& model) { return model->model_cp ? "model_cp." : "model."; }

at::Tensor run_trunk(model::CellSam& model, const TrunkSetting& setting, const at::Tensor& tiles) {
  const auto images = upload(tiles, setting.device);
  const bool body = setting.trunk == Trunk::Body;
  const auto prepare = body ? data::detector_input : data::encoder_input;
  const auto input = prepare(images, model->size().image_size, setting.preprocessing);
  device::Autocast autocast(setting.device, setting.precision);
  return (body ? model->cellfinder->decode_head->backbone->body : model->segmenter()->image_encoder)->trunk(input);
}

std::int64_t copy_trunk(model::CellSam& model, Trunk to) {
  const auto state = model->named_state();
  const std::map<std::string, at::Tensor> by_name(state.begin(), state.end());
  const auto encoder = segmenter_prefix(model) + "image_encoder.";
  at::NoGradGuard no_grad;
  std::int64_t copied = 0;
  for (const auto& [name, body] : state) {
    if (!name.starts_with(kBody)) continue;
    auto trunk = by_name.at(encoder + name.substr(kBody.size()));
    to == Trunk::Body ? body.copy_(trunk) : trunk.copy_(body);
    ++copied;
  }
  return copied;
}

void set_checkpointing(model::CellSam& model, bool on) {
  model->segmenter()->image_encoder->set_checkpointing(on);
  model->cellfinder->decode_head->backbone->body->set_checkpointing(on);
}

}  // namespace cellsam::cache
