// Writes and reads the state of a trainer: parameters, optimiser, schedule, counters and running losses.
#include <ATen/ATen.h>

#include <cmath>
#include <cstring>
#include <map>

#include "train/trainer.h"
#include "weights/checkpoint.h"

namespace cellsam::train {

Dict Trainer::save_state(const std::string& path) const {
  weights::TensorMap tensors;
  for (const auto& [name, tensor] : stage_->trainable()) tensors.emplace_back("parameter." + name, tensor.detach());
  for (const auto& [name, tensor] : optimizer_.state()) tensors.emplace_back("optimizer." + name, tensor);
  if (!sums_.sums.empty()) tensors.emplace_back("losses", at::tensor(sums_.sums, at::kDouble));
  const auto schedule = schedule_.state();
  const auto best = schedule.at("best");
  tensors.emplace_back("schedule",
                       at::tensor({*schedule.at("factor").as<double>(), best.is_null() ? INFINITY : *best.as<double>(),
                                   *schedule.at("bad").as<double>()},
                                  at::kDouble));
  const auto written = weights::write_state(path, tensors,
                                            {{"stage", std::to_string(stage_->number())},
                                             {"epoch", std::to_string(epoch_)},
                                             {"step", std::to_string(step_)},
                                             {"updates", std::to_string(updates_)},
                                             {"batches", std::to_string(sums_.batches)},
                                             {"images", std::to_string(sums_.images)}});
  return {{"path", written.path}, {"bytes", written.bytes}, {"sha256", written.sha256}};
}

Dict Trainer::load_state(const std::string& path) {
  const auto state = weights::read_state(path);
  const auto count = [&](const char* name) {
    const auto found = state.values.find(name);
    if (found == state.values.end()) throw Error("ERR_STATE_MISMATCH", path + ": no " + name + " in this state file");
    return static_cast<std::int64_t>(std::stoll(found->second));
  };
  if (count("stage") != stage_->number()) {
    throw Error("ERR_STATE_MISMATCH", path + " is the state of stage " + std::to_string(count("stage")));
  }
  const std::map<std::string, at::Tensor> tensors(state.tensors.begin(), state.tensors.end());
  const auto numbers = [&](const char* name) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) return std::vector<double>();
    const auto* values = found->second.data_ptr<double>();
    return std::vector<double>(values, values + found->second.numel());
  };
  std::vector<std::pair<std::string, at::Tensor>> optimizer;
  for (const auto& [name, tensor] : state.tensors) {
    if (name.starts_with("optimizer.")) optimizer.emplace_back(name.substr(std::strlen("optimizer.")), tensor);
  }
  for (const auto& [name, parameter] : stage_->trainable()) {
    const auto found = tensors.find("parameter." + name);
    if (found == tensors.end() || found->second.sizes() != parameter.sizes()) {
      throw Error("ERR_STATE_MISMATCH", path + " does not hold the parameters that this configuration trains (" + name +
                                            "): resume with the configuration of the interrupted run");
    }
  }
  const auto schedule = numbers("schedule"), losses = numbers("losses");
  if (schedule.size() != 3) throw Error("ERR_STATE_MISMATCH", path + ": no schedule in this state file");
  const LossSums sums{losses, count("batches"), count("images")};
  if (losses.size() != (sums.batches > 0 ? stage_->loss_names().size() : 0)) {
    throw Error("ERR_STATE_MISMATCH", path + ": " + std::to_string(losses.size()) +
                                          " losses in this state file, not those of stage " + std::to_string(stage_->number()));
  }
  const auto updates = count("updates"), epoch = count("epoch"), step = count("step");

  optimizer_.load_state(optimizer);
  at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : stage_->trainable()) parameter.copy_(tensors.at("parameter." + name));
  schedule_.load_state(
      {{"factor", schedule[0]}, {"best", std::isfinite(schedule[1]) ? Value(schedule[1]) : Value()}, {"bad", schedule[2]}});
  sums_ = sums;
  updates_ = updates;
  epoch_ = epoch;
  step_ = step;
  return {{"stage", stage_->number()}, {"epoch", epoch_}, {"step", step_}};
}

}  // namespace cellsam::train
