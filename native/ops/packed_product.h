// Matrix products by oneDNN with a weight that was brought into its own layout beforehand, through operators that libtorch has
// for its compiler: at::linear brings it there at every call.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::ops {

// Whether it pays and this libtorch has the operators: on the CPU with AVX-512, for float32 or bfloat16.
bool can_pack(const at::Tensor& weight, at::ScalarType type);

at::Tensor pack(const at::Tensor& weight);  // [out,in] -> the same shape, in a layout that only packed_linear reads

// x [...,in] and bias [out] of the packed weight's type -> x weight^T + bias, or its exact GELU (erf), [...,out].
at::Tensor packed_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, bool gelu);

}  // namespace cellsam::ops
