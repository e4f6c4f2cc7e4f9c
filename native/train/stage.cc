#include "train/stage.h"

namespace cellsam::train {

void Stage::choose(model::CellSam& model, std::vector<Part> parts, double weight_decay) {
  parameters_ = model->unique_parameters();
  for (auto& [name, parameter] : parameters_) {
    parameter.set_requires_grad(false);
    parameter.mutable_grad().reset();
  }
  for (auto& part : parts) {
    if (part.parameters.empty()) continue;
    optim::Group group{part.name, {}, part.lr_ratio, weight_decay};
    for (auto& entry : part.parameters) {
      entry.second.set_requires_grad(true);
      group.parameters.push_back(entry.second);
      trainable_.push_back(entry);
    }
    groups_.push_back(std::move(group));
  }
}

cache::FrozenTrunk* Stage::frozen_trunk(model::CellSam& model, const cache::TrunkSetting& setting,
                                        const cache::FeatureOptions& options) {
  frozen_.push_back(std::make_unique<cache::FrozenTrunk>(model, setting, options));
  return frozen_.back().get();
}

std::vector<std::string> Stage::take_notices() {
  auto notices = std::exchange(notices_, {});
  for (const auto& trunk : frozen_) {
    for (auto& message : trunk->take_notices()) notices.push_back(std::move(message));
  }
  return notices;
}

cache::FeatureCounts Stage::take_feature_counts() {
  cache::FeatureCounts sum;
  for (const auto& trunk : frozen_) {
    const auto counts = trunk->take_counts();
    sum.kept += counts.kept;
    sum.computed += counts.computed;
  }
  return sum;
}

void Stage::prefetch(const data::Batch& batch) {
  for (const auto& trunk : frozen_) trunk->prefetch(batch);
}

}  // namespace cellsam::train
