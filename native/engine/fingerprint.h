// A hash of the exact bits of a tensor, by which a caller can see which weights have changed without copying them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace cellsam::engine {

// 16 hex digits: FNV-1a (64 bit) of the tensor's bytes in row-major order. It does not resist intended collisions.
std::string fingerprint(const at::Tensor& tensor);

}  // namespace cellsam::engine
