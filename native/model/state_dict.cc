#include "model/state_dict.h"

#include <ATen/ATen.h>

#include <set>

namespace cellsam::model {

NamedTensors state_dict(const torch::nn::Module& module, const std::string& prefix) {
  NamedTensors state;
  for (const auto& item : module.named_parameters(false)) state.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_buffers(false)) state.emplace_back(prefix + item.key(), item.value());
  for (const auto& child : module.named_children()) {
    auto entries = state_dict(*child.value(), prefix + child.key() + ".");
    state.insert(state.end(), entries.begin(), entries.end());
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

}  // namespace cellsam::model
