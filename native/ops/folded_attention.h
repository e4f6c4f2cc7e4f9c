// grid_attention.h out of torch's own operations: for CUDA, for float64 and for CPUs without matrix instructions of a kind we
// know.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/kept_tensor.h"

namespace cellsam::ops {

// As grid_attention; `pad` and the tables are converted to the type of `qkv`. The relative positions ride along in q and k, so
// that no bias of [heads,tokens,tokens] is ever built. Differentiable once.
at::Tensor folded_attention(const at::Tensor& qkv, const at::Tensor& pad, const at::Tensor& table_h, const at::Tensor& table_w,
                            std::int64_t heads, std::int64_t side, KeptTensor* kept);

}  // namespace cellsam::ops
