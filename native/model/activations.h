// Intermediate tensors of a forward pass by name. The parity tests ask for them, to compare every layer with the official code.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cellsam::model {

using Activations = std::vector<std::pair<std::string, at::Tensor>>;

// Appends `value`, unless the caller wants no activations (null).
inline void record(Activations* activations, const std::string& name, const at::Tensor& value) {
  if (activations != nullptr) activations->emplace_back(name, value);
}

}  // namespace cellsam::model
