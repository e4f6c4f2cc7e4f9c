// Attention over the tokens of a map, whole or in windows, with decomposed relative positions (MViTv2, Li et al., CVPR 2022):
// the core of a SAM block, between its two linear layers. Picks the fastest exact way to compute it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/kept_tensor.h"
#include "base/switch.h"

namespace cellsam::ops {

// qkv [B,g,g,3*heads*d] -> [B,g,g,heads*d]. Each window of side x side tokens attends within itself; side = g is the whole map.
// Windows that reach past the map are filled up with tokens whose row of qkv is `pad` [3*heads*d]: they are attended to.
// Score of query q and key k = q.k / sqrt(d) + q.table_h[qy - ky + side - 1] + q.table_w[qx - kx + side - 1], tables
// [2*side-1,d]. On the CPU in float32 and bfloat16: our own kernel (grid_attention_cpu.h), differentiable once. Elsewhere:
// scaled dot product attention with the positions folded into q and k; on CUDA in bfloat16 this throws ERR_SLOW_ATTENTION where
// torch would fall back to its unfused formula. kept: where the layer keeps a table that depends on sizes alone; null: it is
// made anew. Differentiable once.
at::Tensor grid_attention(const at::Tensor& qkv, const at::Tensor& pad, const at::Tensor& table_h, const at::Tensor& table_w,
                          std::int64_t heads, std::int64_t side, KeptTensor* kept = nullptr);

// Whether the whole process uses the CPU kernel, on at first. CELLSAM_GRID_ATTENTION=0 in the environment starts with it off.
Switch& grid_attention_kernel();

}  // namespace cellsam::ops
