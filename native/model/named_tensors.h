// Tensors with their names in a state dict, for files that need nothing else of the networks.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cellsam::model {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

}  // namespace cellsam::model
