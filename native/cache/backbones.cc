#include "cache/backbones.h"

#include <ATen/ATen.h>

#include <map>

#include "base/upload.h"
#include "weights/layout_names.h"

namespace cellsam::cache {
namespace {

model::ImageEncoder& encoder_of(model::CellSam& model, Backbone backbone) {
  return backbone == Backbone::Sam ? model->mask_model()->image_encoder : model->cellfinder->decode_head->backbone->body;
}

}  // namespace

std::string mask_model_prefix(const model::CellSam& model) { return model->model_cp ? "model_cp." : "model."; }

at::Tensor run_backbone(model::CellSam& model, const BackboneSetting& setting, const at::Tensor& tiles) {
  const auto images = upload(tiles, setting.device);
  const auto prepare = setting.backbone == Backbone::Sam ? data::encoder_input : data::detector_input;
  const auto input = prepare(images, model->size().image_size, setting.preprocessing);
  device::Autocast autocast(setting.device, setting.precision);
  return encoder_of(model, setting.backbone)->backbone(input);
}

std::int64_t copy_backbone(model::CellSam& model, Backbone to) {
  const auto state = model->state_dict();
  const std::map<std::string, at::Tensor> by_name(state.begin(), state.end());
  const auto sam_prefix = mask_model_prefix(model) + "image_encoder.";
  at::NoGradGuard no_grad;
  std::int64_t copied = 0;
  for (const auto& [name, of_cellfinder] : state) {
    if (!name.starts_with(weights::kCellFinderBackbone)) continue;
    const auto of_sam = by_name.at(sam_prefix + name.substr(weights::kCellFinderBackbone.size()));
    to == Backbone::CellFinder ? of_cellfinder.copy_(of_sam) : of_sam.copy_(of_cellfinder);
    ++copied;
  }
  return copied;
}

void set_checkpointing(model::CellSam& model, bool on) {
  encoder_of(model, Backbone::Sam)->set_checkpointing(on);
  encoder_of(model, Backbone::CellFinder)->set_checkpointing(on);
}

}  // namespace cellsam::cache
