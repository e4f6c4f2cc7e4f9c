#include "optim/adamw.h"

#include <ATen/ATen.h>

#include <map>
#include <optional>
#include <unordered_set>

#include "engine.h"

namespace cellsam::optim {

Method method_of(const std::string& name) {
  if (name == "adamw") return Method::adamw;
  if (name == "adam") return Method::adam;
  if (name == "sgd") return Method::sgd;
  throw Error("ERR_INVALID_ARGUMENT", "optimizer must be adamw, adam or sgd, not \"" + name + "\"");
}

Optimizer::Optimizer(std::vector<Group> groups, OptimizerOptions options) : groups_(std::move(groups)), options_(options) {
  at::NoGradGuard no_grad;
  std::unordered_set<const void*> known;
  for (const auto& group : groups_) {
    for (const auto& parameter : group.parameters) {
      if (!known.insert(parameter.unsafeGetTensorImpl()).second) {
        throw Error("ERR_INVALID_ARGUMENT",
                    "optimizer: a parameter occurs twice, the second time in group \"" + group.name + "\"");
      }
      Slot slot;
      slot.first = at::zeros_like(parameter, {}, at::MemoryFormat::Preserve);
      if (options_.method != Method::sgd) {
        slot.second = at::zeros_like(slot.first);
        slot.step = at::zeros({}, parameter.options().dtype(at::kFloat));  // the dtype that the fused kernels read
      }
      slots_.push_back(std::move(slot));
    }
  }
}

std::vector<Optimizer::Batch> Optimizer::batches(const Group& group, std::size_t offset) const {
  std::map<std::pair<at::ScalarType, std::string>, Batch> by_kind;
  for (std::size_t i = 0; i < group.parameters.size(); ++i) {
    const auto& parameter = group.parameters[i];
    if (!parameter.grad().defined()) continue;
    const auto& slot = slots_[offset + i];
    auto& batch = by_kind[{parameter.scalar_type(), parameter.device().str()}];
    batch.parameters.push_back(parameter);
    // The fused CPU kernel walks raw memory: a gradient of other strides than its parameter's would be applied scrambled.
    const auto& gradient = parameter.grad();
    const bool aligned = gradient.strides() == parameter.strides();
    batch.gradients.push_back(aligned ? gradient : at::empty_like(parameter).copy_(gradient));
    batch.first.push_back(slot.first);
    if (options_.method == Method::sgd) continue;
    batch.second.push_back(slot.second);
    batch.steps.push_back(slot.step);
  }
  std::vector<Batch> result;
  for (auto& [kind, batch] : by_kind) result.push_back(std::move(batch));
  return result;
}

void Optimizer::step(double lr, const std::optional<at::Tensor>& skip) {
  at::NoGradGuard no_grad;
  std::size_t offset = 0;
  for (const auto& group : groups_) {
    const double rate = lr * group.lr_ratio;
    for (auto& batch : batches(group, offset)) {
      if (options_.method == Method::sgd && skip) {
        at::_fused_sgd_(batch.parameters, batch.gradients, batch.first, group.weight_decay, options_.momentum, rate,
                        /*dampening=*/0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false, std::nullopt, skip);
        continue;
      }
      if (options_.method == Method::sgd) {
        auto gradients =
            group.weight_decay == 0 ? batch.gradients : at::_foreach_add(batch.gradients, batch.parameters, group.weight_decay);
        at::_foreach_mul_(batch.first, options_.momentum);
        at::_foreach_add_(batch.first, gradients);
        at::_foreach_add_(batch.parameters, batch.first, -rate);
        continue;
      }
      at::_foreach_add_(batch.steps, 1);
      if (skip) at::_foreach_sub_(batch.steps, std::vector<at::Tensor>(batch.steps.size(), *skip));
      auto update = [&](auto kernel) {
        kernel(batch.parameters, batch.gradients, batch.first, batch.second, /*max_exp_avg_sqs=*/at::TensorList{}, batch.steps,
               rate, options_.beta1, options_.beta2, group.weight_decay, options_.epsilon, /*amsgrad=*/false,
               /*maximize=*/false);
      };
      if (options_.method == Method::adamw) {
        update([&](auto&&... arguments) { at::_fused_adamw_(arguments..., std::nullopt, skip); });
      } else {
        update([&](auto&&... arguments) { at::_fused_adam_(arguments..., std::nullopt, skip); });
      }
    }
    offset += group.parameters.size();
  }
}

void Optimizer::zero_grad() {
  for (const auto& group : groups_) {
    for (const auto& parameter : group.parameters) parameter.mutable_grad().reset();
  }
}

std::vector<std::pair<std::string, at::Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const auto index = std::to_string(i) + ".";
    if (options_.method == Method::sgd) {
      all.emplace_back(index + "momentum_buffer", slots_[i].first);
      continue;
    }
    all.emplace_back(index + "exp_avg", slots_[i].first);
    all.emplace_back(index + "exp_avg_sq", slots_[i].second);
    all.emplace_back(index + "step", slots_[i].step);
  }
  return all;
}

void Optimizer::load_state(const std::vector<std::pair<std::string, at::Tensor>>& state) {
  std::map<std::string, at::Tensor> given(state.begin(), state.end());
  const auto own = this->state();
  auto fail = [](const std::string& what) {
    throw Error("ERR_STATE_MISMATCH", "optimizer state: " + what + "; resume with the optimizer and stage that wrote it");
  };
  for (const auto& [name, tensor] : own) {
    const auto found = given.find(name);
    if (found == given.end()) fail(name + " is missing");
    if (found->second.sizes() != tensor.sizes()) fail(name + " has another shape");
  }
  if (given.size() != own.size() || state.size() != own.size()) fail("it has entries that are not known here");
  at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : own) tensor.copy_(given.at(name));
}

}  // namespace cellsam::optim
