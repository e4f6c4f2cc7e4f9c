// Differentiable attention on the attention kernels (kernels/attention_kernels.h): the detector's two kinds, for float32 and
// bfloat16 on the CPU. docs/math.md sections 3.3 and 4.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace cellsam::ops {

// Whether the functions below take it: a CPU tensor of a known precision on a processor with kernels, and not switched off.
bool can_fuse(const at::Tensor& x);

// Row-column attention of `heads` heads side by side in E. query_row, query_col [B,Q,E]; key_row [B,W,E], key_col [B,H,E], one
// key per column and per row; value [B,H,W,E]; hidden_columns [B,W] and hidden_rows [B,H] bool, true = not seen -> [B,Q,E].
// Saves its inputs alone; backward computes the attention again.
at::Tensor fused_row_column(const at::Tensor& query_row, const at::Tensor& query_col, const at::Tensor& key_row,
                            const at::Tensor& key_col, const at::Tensor& value, std::int64_t heads,
                            const std::optional<at::Tensor>& hidden_columns, const std::optional<at::Tensor>& hidden_rows);

// Softmax attention among all: query [B,Q,E], key and value [B,K,E] -> [B,Q,E].
at::Tensor fused_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, std::int64_t heads);

}  // namespace cellsam::ops
