// Conversions between the Array of engine.h and torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine.h"

namespace cellsam {

// A CPU tensor that shares the array's memory and keeps it alive. u16 becomes int32, in a copy.
at::Tensor to_tensor(const Array& array);

// An array that shares the tensor's memory if that is contiguous and on the CPU, else the memory of a copy. bool becomes u8.
// Throws ERR_INTERNAL for a type that Dtype does not have.
Array to_array(const at::Tensor& tensor);

}  // namespace cellsam
