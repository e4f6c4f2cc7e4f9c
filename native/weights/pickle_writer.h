// Writes the pickle of a .pth file: an OrderedDict of tensors in protocol 2, which torch.load(weights_only=True) accepts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weights/dtype.h"

namespace cellsam::weights {

struct PickledTensor {
  std::string name;
  const NumberType* type = nullptr;
  std::string storage;  // key of the record data/<key>, which contains exactly this tensor, contiguous
  std::vector<std::int64_t> sizes;
};

std::string write_pickle(const std::vector<PickledTensor>& tensors);

}  // namespace cellsam::weights
