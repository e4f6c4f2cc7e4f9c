// Between the border's `Array` and torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine.h"

namespace cellsam {

// A CPU tensor that shares the array's memory and keeps it alive. u16 arrays are widened to int32 (a copy).
at::Tensor to_tensor(const Array& array);

// An array that shares the memory of a (made contiguous, moved to the CPU) tensor of a border dtype; others are errors.
Array to_array(const at::Tensor& tensor);

}  // namespace cellsam
