// The tensors of a network by the names that the official checkpoints give them.
#pragma once

#include <torch/nn/module.h>

#include <string>

#include "model/named_tensors.h"

namespace cellsam::model {

// Every entry of the module's state dict in the order of PyTorch's own: parameters and persistent buffers. Shared tensors (the
// prediction heads of CellFinder) appear under each of their names. The tensors are the module's own: copy into them to load.
NamedTensors state_dict(const torch::nn::Module& module, const std::string& prefix = "");

// The parameters, each once and under the first of its names, as an optimiser needs them.
NamedTensors unique_parameters(const torch::nn::Module& module, const std::string& prefix = "");

}  // namespace cellsam::model
