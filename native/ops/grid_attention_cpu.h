// Attention with decomposed relative positions on the CPU, without a matrix of scores or of biases: blocks of scores live in
// the cache, only the result and one number a query are kept, and backward computes the blocks again (FlashAttention, Dao et
// al., NeurIPS 2022). docs/math.md sections 3.3 and 3.4. Every bit is independent of the number of threads. Called by
// grid_attention.cc.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cellsam::ops {

// What attends to what: windows of side x side tokens of a grid x grid map, those at the bottom and the right filled up with
// tokens whose query, key and value are the row `pad` below. side = grid is attention over everything.
struct GridShape {
  std::int64_t batch, grid, side, heads, width;  // width: channels of a head

  std::int64_t windows() const { return (grid + side - 1) / side; }             // along an axis
  std::int64_t tasks() const { return batch * windows() * windows() * heads; }  // AttentionTasks
};

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
