#include "optim/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <map>
#include <optional>
#include <unordered_set>
#include <utility>

#include "engine.h"
#include "optim/muon.h"

namespace cellsam::optim {

Method parse_method(const std::string& name) {
  if (name == "adamw") return Method::adamw;
  if (name == "muon") return Method::muon;
  if (name == "adam") return Method::adam;
  if (name == "sgd") return Method::sgd;
  throw Error("ERR_INVALID_ARGUMENT", "optimizer must be adamw, muon, adam or sgd, not \"" + name + "\"");
}

Optimizer::Optimizer(std::vector<ParameterGroup> groups, OptimizerOptions options)
    : groups_(std::move(groups)), options_(options) {
  at::NoGradGuard no_grad;
  std::unordered_set<const void*> known;
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(options_.seed);
  for (auto& group : groups_) {
    for (const auto& parameter : group.parameters) {
      if (!known.insert(parameter.unsafeGetTensorImpl()).second) {
        throw Error("ERR_INVALID_ARGUMENT",
                    "optimizer: a parameter occurs twice, the second time in group \"" + group.name + "\"");
      }
    }
    if (group.low_rank.rank > 0) learn_factors(group, generator);
    for (std::size_t i = 0; i < group.parameters.size(); ++i) {
      const auto& parameter = group.parameters[i];
      State state;
      state.first_moment = at::zeros_like(parameter, {}, at::MemoryFormat::Preserve);
      if (options_.method == Method::muon && !group.matrices.empty()) state.matrices = group.matrices[i];
      if (options_.method != Method::sgd && state.matrices == 0) {
        state.second_moment = at::zeros_like(state.first_moment);
        state.step = at::zeros({}, parameter.options().dtype(at::kFloat));  // the dtype that the fused kernels read
      }
      states_.push_back(std::move(state));
    }
  }
}

void Optimizer::learn_factors(ParameterGroup& group, const at::Generator& generator) {
  const auto weights = std::exchange(group.parameters, {});
  for (const auto& weight : weights) {
    const auto& change = low_rank_.emplace_back(weight, group.low_rank, generator);
    group.parameters.insert(group.parameters.end(), {change.down(), change.up()});
  }
  group.matrices.assign(group.parameters.size(), 1);
}

std::vector<Optimizer::Batch> Optimizer::batches(const ParameterGroup& group, std::size_t offset) const {
  std::map<std::pair<at::ScalarType, std::string>, Batch> by_type;
  for (std::size_t i = 0; i < group.parameters.size(); ++i) {
    const auto& parameter = group.parameters[i];
    const auto& state = states_[offset + i];
    if (!parameter.grad().defined() || state.matrices > 0) continue;
    auto& batch = by_type[{parameter.scalar_type(), parameter.device().str()}];
    batch.parameters.push_back(parameter);
    // The fused CPU kernel reads both in the order of memory, whatever their strides are.
    const auto& gradient = parameter.grad();
    const bool same_layout = gradient.strides() == parameter.strides();
    batch.gradients.push_back(same_layout ? gradient : at::empty_like(parameter).copy_(gradient));
    batch.first_moments.push_back(state.first_moment);
    if (options_.method == Method::sgd) continue;
    batch.second_moments.push_back(state.second_moment);
    batch.steps.push_back(state.step);
  }
  std::vector<Batch> result;
  for (auto& [type, batch] : by_type) result.push_back(std::move(batch));
  return result;
}

void Optimizer::count_step(const std::optional<at::Tensor>& skip) {
  std::vector<at::Tensor> steps;
  std::size_t index = 0;
  for (const auto& group : groups_) {
    for (const auto& parameter : group.parameters) {
      const auto& step = states_[index++].step;
      if (step.defined() && parameter.grad().defined()) steps.push_back(step);
    }
  }
  if (steps.empty()) return;
  if (skip) {
    at::_foreach_add_(steps, at::rsub(*skip, 1));
  } else {
    at::_foreach_add_(steps, 1);
  }
}

void Optimizer::step(double lr, const std::optional<at::Tensor>& skip) {
  at::NoGradGuard no_grad;
  for (auto& change : low_rank_) change.take_gradient();
  count_step(skip);
  std::size_t offset = 0;
  for (const auto& group : groups_) {
    const double group_lr = lr * group.lr_ratio;
    for (auto& batch : batches(group, offset)) {
      if (options_.method == Method::sgd && skip) {
        at::_fused_sgd_(batch.parameters, batch.gradients, batch.first_moments, group.weight_decay, options_.momentum, group_lr,
                        /*dampening=*/0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false, std::nullopt, skip);
        continue;
      }
      if (options_.method == Method::sgd) {
        auto gradients =
            group.weight_decay == 0 ? batch.gradients : at::_foreach_add(batch.gradients, batch.parameters, group.weight_decay);
        at::_foreach_mul_(batch.first_moments, options_.momentum);
        at::_foreach_add_(batch.first_moments, gradients);
        at::_foreach_add_(batch.parameters, batch.first_moments, -group_lr);
        continue;
      }
      auto update = [&](auto kernel) {
        kernel(batch.parameters, batch.gradients, batch.first_moments, batch.second_moments,
               /*max_exp_avg_sqs=*/at::TensorList{}, batch.steps, group_lr, options_.beta1, options_.beta2, group.weight_decay,
               options_.epsilon, /*amsgrad=*/false,
               /*maximize=*/false);
      };
      if (options_.method != Method::adam) {
        update([&](auto&&... arguments) { at::_fused_adamw_(arguments..., std::nullopt, skip); });
      } else {
        update([&](auto&&... arguments) { at::_fused_adam_(arguments..., std::nullopt, skip); });
      }
    }
    step_matrices(group, offset, group_lr, skip);
    offset += group.parameters.size();
  }
  for (auto& change : low_rank_) change.apply();
}

void Optimizer::step_matrices(const ParameterGroup& group, std::size_t offset, double lr,
                              const std::optional<at::Tensor>& skip) {
  const auto unless_skipped = [&](const at::Tensor& changed, const at::Tensor& value) {
    return skip ? at::where(skip->gt(0), value, changed) : changed;
  };
  struct Change {
    at::Tensor parameter, direction;  // [n,rows,columns]
  };
  std::map<std::vector<std::int64_t>, std::vector<Change>> by_shape;  // a group is on one device, and of one type
  for (std::size_t i = 0; i < group.parameters.size(); ++i) {
    const auto &parameter = group.parameters[i], &gradient = parameter.grad();
    auto& state = states_[offset + i];
    if (state.matrices == 0 || !gradient.defined()) continue;
    auto& momentum = state.first_moment;
    momentum.copy_(unless_skipped(momentum.lerp(gradient, 1 - options_.muon_momentum), momentum));
    const auto direction = gradient.lerp(momentum, options_.muon_momentum);
    const auto rows = parameter.size(0) / state.matrices, columns = parameter.numel() / parameter.size(0);
    by_shape[{rows, columns}].push_back({parameter, direction.reshape({state.matrices, rows, columns})});
  }
  for (const auto& [shape, changes] : by_shape) {
    std::vector<at::Tensor> directions;
    for (const auto& change : changes) directions.push_back(change.direction);
    const auto updates = orthogonalized(at::cat(directions)) * (lr * update_scale(shape[0], shape[1]));
    std::int64_t first = 0;
    for (const auto& [parameter, direction] : changes) {
      const auto update = updates.narrow(0, first, direction.size(0)).reshape(parameter.sizes());
      first += direction.size(0);
      parameter.copy_(unless_skipped(parameter * (1 - lr * group.weight_decay) - update, parameter));
    }
  }
}

void Optimizer::zero_grad() {
  for (const auto& group : groups_) {
    for (const auto& parameter : group.parameters) parameter.mutable_grad().reset();
  }
  for (auto& change : low_rank_) change.drop_gradients();
}

std::vector<std::pair<std::string, at::Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const auto index = std::to_string(i) + ".";
    if (options_.method == Method::sgd || states_[i].matrices > 0) {
      all.emplace_back(index + "momentum_buffer", states_[i].first_moment);
      continue;
    }
    all.emplace_back(index + "exp_avg", states_[i].first_moment);
    all.emplace_back(index + "exp_avg_sq", states_[i].second_moment);
    all.emplace_back(index + "step", states_[i].step);
  }
  for (std::size_t i = 0; i < low_rank_.size(); ++i) {
    const auto matrix = "lora." + std::to_string(i);
    all.emplace_back(matrix + ".down", low_rank_[i].down());
    all.emplace_back(matrix + ".up", low_rank_[i].up());
  }
  return all;
}

void Optimizer::load_state(const std::vector<std::pair<std::string, at::Tensor>>& state) {
  std::map<std::string, at::Tensor> given(state.begin(), state.end());
  const auto current = this->state();
  auto fail = [](const std::string& what) {
    throw Error("ERR_STATE_MISMATCH", "optimizer state: " + what + "; resume with the optimizer and stage that wrote it");
  };
  for (const auto& [name, tensor] : current) {
    const auto found = given.find(name);
    if (found == given.end()) fail(name + " is missing");
    if (found->second.sizes() != tensor.sizes()) fail(name + " has another shape");
  }
  if (given.size() != current.size() || state.size() != current.size()) fail("it has entries that are not known here");
  at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : current) tensor.copy_(given.at(name));
}

}  // namespace cellsam::optim
