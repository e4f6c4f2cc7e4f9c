#include "train/stage.h"

#include <ATen/Parallel.h>

#include "optim/muon.h"

namespace cellsam::train {

std::int64_t Stage::threads() const { return at::get_num_threads(); }

void Stage::choose(model::CellSam& model, std::vector<Part> parts, double weight_decay) {
  parameters_ = model->unique_parameters();
  for (auto& [name, parameter] : parameters_) {
    parameter.set_requires_grad(false);
    parameter.mutable_grad().reset();
  }
  for (auto& part : parts) {
    if (part.parameters.empty()) continue;
    optim::ParameterGroup group{part.name, {}, part.lr_ratio, weight_decay, {}, part.low_rank};
    for (auto& entry : part.parameters) {
      entry.second.set_requires_grad(true);
      group.parameters.push_back(entry.second);
      group.matrices.push_back(optim::stacked_matrices(entry.first, entry.second));
      trainable_.push_back(entry);
    }
    groups_.push_back(std::move(group));
  }
}

void Stage::bring(const std::string& name, const torch::nn::Module& module) {
  for (const auto& [of_module, tensor] : model::unique_parameters(module)) own_.emplace_back(name + "." + of_module, tensor);
}

void Stage::share_own(const Stage& other) {
  for (std::size_t i = 0; i < own_.size(); ++i) model::share_memory(own_[i].second, other.own_[i].second);
}

cache::FrozenBackbone* Stage::add_frozen_backbone(model::CellSam& model, const cache::BackboneSetting& setting,
                                                  const cache::FeatureOptions& options) {
  frozen_.push_back(std::make_unique<cache::FrozenBackbone>(model, setting, options));
  return frozen_.back().get();
}

std::vector<std::string> Stage::take_notices() {
  auto notices = std::exchange(notices_, {});
  for (const auto& backbone : frozen_) {
    for (auto& message : backbone->take_notices()) notices.push_back(std::move(message));
  }
  return notices;
}

cache::FeatureCounts Stage::take_feature_counts() {
  cache::FeatureCounts sum;
  for (const auto& backbone : frozen_) {
    const auto counts = backbone->take_counts();
    sum.kept += counts.kept;
    sum.computed += counts.computed;
  }
  return sum;
}

void Stage::prefetch(const data::Batch& batch) {
  for (const auto& backbone : frozen_) backbone->prefetch(batch);
}

}  // namespace cellsam::train
