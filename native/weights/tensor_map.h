// What every checkpoint reader returns and every writer takes: names and tensors in the order of the file. It is no std::map,
// as the order decides which of several copies is the last.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cellsam::weights {

using TensorMap = std::vector<std::pair<std::string, at::Tensor>>;

}  // namespace cellsam::weights
