// The form in which every checkpoint reader answers and every writer asks: names and tensors in the file's order. A map
// would lose the order, and the order decides which of several copies is the last.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cellsam::weights {

using TensorMap = std::vector<std::pair<std::string, at::Tensor>>;

}  // namespace cellsam::weights
