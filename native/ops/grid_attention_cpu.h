// Attention with decomposed relative positions on the CPU, without a matrix of scores or of biases: blocks of scores live in
// the cache, only the result and one number a query are kept, and backward computes the blocks again (FlashAttention, Dao et
// al., NeurIPS 2022). docs/math.md sections 3.3 and 3.4. Every bit is independent of the number of threads. Called by
// grid_attention.cc.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "ops/grid_shape.h"

namespace cellsam::ops {

// Whether the kernel can take tensors of this type and these widths on this machine.
bool can_attend_on_cpu(const GridShape& shape, at::ScalarType type);

struct GridAttentionOutput {
  at::Tensor out;  // [B,g,g,heads*width], of the type of qkv
  at::Tensor lse;  // [tasks,side*side] float32, logarithm of the sum of exponentials of each query's scores
};

// qkv [B,g,g,3*heads*width], pad [3*heads*width], table_h and table_w [2*side-1,width] all of one type (float32 or bfloat16),
// dense, on the CPU. Score of query q and key k = q.k / sqrt(width) + q.table_h[qy - ky + side - 1] + q.table_w[qx - kx + side
// - 1].
GridAttentionOutput attend_on_cpu(const GridShape& shape, const at::Tensor& qkv, const at::Tensor& pad,
                                  const at::Tensor& table_h, const at::Tensor& table_w);

struct GridAttentionGrads {
  at::Tensor qkv, pad, table_h, table_w;  // as the inputs; the tables' in float32
};

// The gradients, given that of `out` (grad).
GridAttentionGrads attend_on_cpu_backward(const GridShape& shape, const at::Tensor& qkv, const at::Tensor& pad,
                                          const at::Tensor& table_h, const at::Tensor& table_w,
                                          const GridAttentionOutput& forward, const at::Tensor& grad);

}  // namespace cellsam::ops
