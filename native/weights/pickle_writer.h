// The pickle half of a .pth file: an OrderedDict of tensors in protocol 2, as Python's torch.load(weights_only=True) takes it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weights/dtype.h"

namespace cellsam::weights {

struct PickledTensor {
  std::string name;
  const NumberType* type = nullptr;
  std::string storage;  // key of the record data/<key>, which holds exactly this tensor, contiguous
  std::vector<std::int64_t> sizes;
};

std::string write_pickle(const std::vector<PickledTensor>& tensors);

}  // namespace cellsam::weights
