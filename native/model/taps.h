// Intermediate tensors by name, collected only for a caller that hands in a list: parity tests look inside with it.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cellsam::model {

using Taps = std::vector<std::pair<std::string, at::Tensor>>;

inline void tap(Taps* taps, const std::string& name, const at::Tensor& value) {
  if (taps != nullptr) taps->emplace_back(name, value);
}

}  // namespace cellsam::model
