// A short name for the exact bits of a tensor, by which a caller sees which weights moved without copying them out.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace cellsam::engine {

// 16 hex digits: FNV-1a (64 bit) over the tensor's bytes in row-major order. Tells tensors apart; proves nothing to an
// attacker.
std::string fingerprint(const at::Tensor& tensor);

}  // namespace cellsam::engine
