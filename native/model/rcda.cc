#include "model/rcda.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include <cmath>
#include <limits>

#include "base/cast_weights.h"
#include "model/apply_linear.h"
#include "model/attention_init.h"
#include "ops/cuda_row_column.h"
#include "ops/fused_attention.h"

namespace cellsam::model {
namespace {

// Attention weights [B,heads,Q,n] of scaled queries [B,heads,Q,d] over keys [B,heads,n,d]; none for padded [B,n].
at::Tensor attention_weights(const at::Tensor& query, const at::Tensor& key, const std::optional<at::Tensor>& padded) {
  auto scores = at::matmul(query, key.transpose(-1, -2));
  if (padded) {
    scores = scores.masked_fill(padded->unsqueeze(1).unsqueeze(1), -std::numeric_limits<double>::infinity());
  }
  return scores.softmax(-1);
}

// row_weights [B,heads,Q,W], col_weights [B,heads,Q,H], value [B,H,W,E] -> [B,Q,E].
at::Tensor weighted_sum(const at::Tensor& row_weights, const at::Tensor& col_weights, const at::Tensor& value) {
  const auto batch = value.size(0), height = value.size(1), width = value.size(2);
  const auto heads = row_weights.size(1), queries = row_weights.size(2);
  const auto columns = value.reshape({batch, height, width, heads, -1})
                           .permute({0, 3, 2, 1, 4})
                           .reshape({batch, heads, width, -1});                                     // [B,heads,W,H*d]
  const auto rows = at::matmul(row_weights, columns).reshape({batch, heads, queries, height, -1});  // [B,heads,Q,H,d]
  const auto sum = at::matmul(col_weights.unsqueeze(-2), rows).squeeze(-2);                         // [B,heads,Q,d]
  return sum.transpose(1, 2).reshape({batch, queries, -1});
}

}  // namespace

RowColumnDecoupledAttentionImpl::RowColumnDecoupledAttentionImpl(std::int64_t dim, std::int64_t heads, bool local, double gain)
    : heads_(heads) {
  in_proj_weight_ = register_parameter("in_proj_weight", torch::nn::init::xavier_uniform_(at::empty({5 * dim, dim})));
  in_proj_bias_ = register_parameter("in_proj_bias", at::zeros({5 * dim}));
  out_proj_ = register_module("out_proj", torch::nn::Linear(dim, dim));
  torch::nn::init::zeros_(out_proj_->bias);
  if (!local) return;
  at::NoGradGuard no_grad;
  const auto parts = in_proj_weight_.chunk(5);
  init_local_attention(parts[0], parts[2], gain);
  init_local_attention(parts[1], parts[3], gain);
}

at::Tensor RowColumnDecoupledAttentionImpl::forward(const at::Tensor& query_row, const at::Tensor& query_col,
                                                    const at::Tensor& key_row, const at::Tensor& key_col,
                                                    const at::Tensor& value, const std::optional<at::Tensor>& padding,
                                                    Activations* activations) {
  // The mean before the projection instead of after it: the same, as both are linear, for a fraction of the work.
  return attend(query_row, query_col, key_row.mean(1), key_col.mean(2), value, padding, activations);
}

at::Tensor RowColumnDecoupledAttentionImpl::attend(const at::Tensor& query_row, const at::Tensor& query_col,
                                                   const at::Tensor& mean_key_row, const at::Tensor& mean_key_col,
                                                   const at::Tensor& value, const std::optional<at::Tensor>& padding,
                                                   Activations* activations) {
  const auto weight = weight_of(in_proj_weight_).chunk(5), bias = weight_of(in_proj_bias_).chunk(5);
  const auto project = [&](std::size_t part, const at::Tensor& x) { return at::linear(x, weight[part], bias[part]); };
  std::optional<at::Tensor> padded_columns, padded_rows;  // [B,W], [B,H]
  if (padding) {
    padded_columns = padding->select(1, 0);
    padded_rows = padding->select(2, 0);
  }
  const auto q_row = project(0, query_row), q_col = project(1, query_col);        // [B,Q,E]
  const auto k_row = project(2, mean_key_row), k_col = project(3, mean_key_col);  // [B,W,E], [B,H,E]
  const auto v = project(4, value);                                               // [B,H,W,E]

  at::Tensor attended;  // [B,Q,E], by a fused operator where there is one
  if (ops::can_fuse(v)) {
    attended = ops::fused_row_column(q_row, q_col, k_row, k_col, v, heads_, padded_columns, padded_rows);
  } else if (v.is_cuda()) {
    attended = ops::cuda_row_column(q_row, q_col, k_row, k_col, v, heads_, padded_columns, padded_rows).value_or(at::Tensor());
  }
  if (attended.defined() && activations == nullptr) return apply_linear(*out_proj_, attended);

  const auto split_heads = [&](const at::Tensor& x) {  // [B,n,E] -> [B,heads,n,d]
    return x.reshape({x.size(0), x.size(1), heads_, -1}).transpose(1, 2);
  };
  const auto scale = std::sqrt(static_cast<double>(heads_) / static_cast<double>(value.size(3)));
  const auto row_weights = attention_weights(split_heads(q_row) * scale, split_heads(k_row), padded_columns);
  const auto col_weights = attention_weights(split_heads(q_col) * scale, split_heads(k_col), padded_rows);
  if (activations != nullptr) {
    record(activations, "weights", (col_weights.unsqueeze(-1) * row_weights.unsqueeze(-2)).mean(1));  // [B,Q,H,W]
  }
  if (!attended.defined()) attended = weighted_sum(row_weights, col_weights, v);
  return apply_linear(*out_proj_, attended);
}

}  // namespace cellsam::model
