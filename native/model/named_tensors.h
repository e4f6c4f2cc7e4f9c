// Tensors with the names that they have in a state dict, for files that need no network.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cellsam::model {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

}  // namespace cellsam::model
