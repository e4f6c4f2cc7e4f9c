#include "engine/stage.h"

namespace cellsam::engine {

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

void stop_if_abandoned(const Control& control) {
  if (control.abandoned()) throw Error("ERR_DISPOSED", "the session was disposed of while the command ran");
}

}  // namespace cellsam::engine
