#include "model/cellsam.h"

#include <ATen/ATen.h>

#include <set>

namespace cellsam::model {

NamedTensors named_state(const torch::nn::Module& module, const std::string& prefix) {
  NamedTensors state;
  for (const auto& item : module.named_parameters(false)) state.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_buffers(false)) state.emplace_back(prefix + item.key(), item.value());
  for (const auto& child : module.named_children()) {
    auto below = named_state(*child.value(), prefix + child.key() + ".");
    state.insert(state.end(), below.begin(), below.end());
  }
  return state;
}

NamedTensors unique_parameters(const torch::nn::Module& module, const std::string& prefix) {
  NamedTensors parameters;
  std::set<const void*> seen;
  for (const auto& item : module.named_parameters()) {
    if (seen.insert(item.value().unsafeGetTensorImpl()).second) parameters.emplace_back(prefix + item.key(), item.value());
  }
  return parameters;
}

SamImpl::SamImpl(const ModelSize& size) {
  image_encoder = register_module("image_encoder", ImageEncoder(size, true));
  prompt_encoder = register_module("prompt_encoder", PromptEncoder(size));
  mask_decoder = register_module("mask_decoder", MaskDecoder(size));
}

CellSamImpl::CellSamImpl(const ModelSize& size, bool adversarial_copy) : size_(size) {
  model = register_module("model", Sam(size));
  cellfinder = register_module("cellfinder", CellFinder(size));
  if (adversarial_copy) adopt_copy();
}

void CellSamImpl::adopt_copy() {
  if (model_cp) return;
  at::NoGradGuard no_grad;
  Sam copy(size_);
  const auto from = cellsam::model::named_state(*model);
  copy->to(from.front().second.device(), from.front().second.scalar_type());
  const auto to = cellsam::model::named_state(*copy);
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto target = to[i].second;
    target.copy_(from[i].second);
    target.requires_grad_(from[i].second.requires_grad());
  }
  copy->train(model->is_training());
  model_cp = register_module("model_cp", copy);
}

void CellSamImpl::drop_copy() {
  if (!model_cp) return;
  unregister_module("model_cp");
  model_cp = nullptr;
}

NamedTensors CellSamImpl::named_state() const { return cellsam::model::named_state(*this); }

NamedTensors CellSamImpl::unique_parameters() const { return cellsam::model::unique_parameters(*this); }

}  // namespace cellsam::model
