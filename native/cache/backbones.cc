#include "cache/backbones.h"

#include <ATen/ATen.h>

#include <map>

#include "weights/layout.h"

namespace cellsam::cache {

std::string mask_model_prefix(const model::CellSam& model) { return model->model_cp ? "model_cp." : "model."; }

at::Tensor run_backbone(model::CellSam& model, const BackboneSetting& setting, const at::Tensor& tiles) {
  const auto images = upload(tiles, setting.device);
  const bool body = setting.backbone == Backbone::CellFinder;
  const auto prepare = body ? data::detector_input : data::encoder_input;
  const auto input = prepare(images, model->size().image_size, setting.preprocessing);
  device::Autocast autocast(setting.device, setting.precision);
  return (body ? model->cellfinder->decode_head->backbone->body : model->mask_model()->image_encoder)->backbone(input);
}

std::int64_t copy_backbone(model::CellSam& model, Backbone to) {
  const auto state = model->named_state();
  const std::map<std::string, at::Tensor> by_name(state.begin(), state.end());
  const auto encoder = mask_model_prefix(model) + "image_encoder.";
  at::NoGradGuard no_grad;
  std::int64_t copied = 0;
  for (const auto& [name, body] : state) {
    if (!name.starts_with(weights::kCellFinderBackbone)) continue;
    auto backbone = by_name.at(encoder + name.substr(weights::kCellFinderBackbone.size()));
    to == Backbone::CellFinder ? body.copy_(backbone) : backbone.copy_(body);
    ++copied;
  }
  return copied;
}

void set_checkpointing(model::CellSam& model, bool on) {
  model->mask_model()->image_encoder->set_checkpointing(on);
  model->cellfinder->decode_head->backbone->body->set_checkpointing(on);
}

}  // namespace cellsam::cache
