#include "model/cellsam.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/variable.h>

#include <mutex>

namespace cellsam::model {

CellSamImpl::CellSamImpl(const ModelSize& size, bool with_model_cp) : size_(size) {
  model = register_module("model", Sam(size));
  cellfinder = register_module("cellfinder", CellFinder(size));
  if (with_model_cp) add_model_cp();
}

void CellSamImpl::add_model_cp() {
  if (model_cp) return;
  at::NoGradGuard no_grad;
  Sam copy(size_);
  const auto from = cellsam::model::state_dict(*model);
  copy->to(from.front().second.device(), from.front().second.scalar_type());
  const auto to = cellsam::model::state_dict(*copy);
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto target = to[i].second;
    target.copy_(from[i].second);
    target.requires_grad_(from[i].second.requires_grad());
  }
  copy->train(model->is_training());
  model_cp = register_module("model_cp", copy);
}

void CellSamImpl::remove_model_cp() {
  if (!model_cp) return;
  unregister_module("model_cp");
  model_cp = nullptr;
}

CellSam draw_weights(const ModelSize& size, bool with_model_cp, std::uint64_t seed) {
  static std::mutex generator;
  std::lock_guard lock(generator);
  at::manual_seed(seed);
  return CellSam(size, with_model_cp);
}

void share_memory(at::Tensor parameter, const at::Tensor& with) {
  parameter.set_data(with.detach());
  torch::autograd::impl::set_version_counter(parameter, torch::autograd::impl::version_counter(with));
}

CellSam alias_weights(const CellSam& model) {
  auto shared = draw_weights(model->size(), static_cast<bool>(model->model_cp), 0);
  const auto from = model->state_dict();
  const auto to = shared->state_dict();
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto tensor = to[i].second;
    tensor.set_requires_grad(false);
    share_memory(tensor, from[i].second);
  }
  shared->train(model->is_training());
  return shared;
}

NamedTensors CellSamImpl::state_dict() const { return cellsam::model::state_dict(*this); }

NamedTensors CellSamImpl::unique_parameters() const { return cellsam::model::unique_parameters(*this); }

}  // namespace cellsam::model
