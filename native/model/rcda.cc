#include "model/rcda.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include <cmath>
#include <limits>

#include "model/local_init.h"
#include "ops/cuda_row_column.h"
#include "ops/fused_attention.h"

namespace cellsam::model {
namespace {

// softmax over the last axis of [B,heads,Q,n]; padded [B,n] places get no weight.
at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const std::optional<at::Tensor>& padded) {
  auto scores = at::matmul(query, key.transpose(-1, -2));
  if (padded) {
    scores = scores.masked_fill(padded->unsqueeze(1).unsqueeze(1), -std::numeric_limits<double>::infinity());
  }
  return scores.softmax(-1);
}

// over_width [B,heads,Q,W], over_height [B,heads,Q,H], value [B,H,W,E] -> [B,Q,E].
at::Tensor mix(const at::Tensor& over_width, const at::Tensor& over_height, const at::Tensor& value) {
  const auto batch = value.size(0), height = value.size(1), width = value.size(2);
  const auto heads = over_width.size(1), queries = over_width.size(2);
  const auto columns =
      value.reshape({batch, height, width, heads, -1}).permute({0, 3, 2, 1, 4}).reshape({batch, heads, width, -1});
  const auto rows = at::matmul(over_width, columns).reshape({batch, heads, queries, height, -1});  // columns: [B,heads,W,H*d]
  const auto mixed = at::matmul(over_height.unsqueeze(-2), rows).squeeze(-2);                      // [B,heads,Q,d]
  return mixed.transpose(1, 2).reshape({batch, queries, -1});
}

}  // namespace

RowColumnAttentionImpl::RowColumnAttentionImpl(std::int64_t dim, std::int64_t heads, bool local, double gain) : heads_(heads) {
  in_proj_weight_ = register_parameter("in_proj_weight", torch::nn::init::xavier_uniform_(at::empty({5 * dim, dim})));
  in_proj_bias_ = register_parameter("in_proj_bias", at::zeros({5 * dim}));
  out_proj_ = register_module("out_proj", torch::nn::Linear(dim, dim));
  init_zero(out_proj_->bias);
  if (!local) return;
  at::NoGradGuard no_grad;
  const auto parts = in_proj_weight_.chunk(5);
  init_local(parts[0], parts[2], gain);
  init_local(parts[1], parts[3], gain);
}

at::Tensor RowColumnAttentionImpl::forward(const at::Tensor& query_row, const at::Tensor& query_col, const at::Tensor& key_row,
                                           const at::Tensor& key_col, const at::Tensor& value,
                                           const std::optional<at::Tensor>& padding, Taps* taps) {
  const auto weight = in_proj_weight_.chunk(5), bias = in_proj_bias_.chunk(5);
  const auto project = [&](std::size_t part, const at::Tensor& x) { return at::linear(x, weight[part], bias[part]); };
  std::optional<at::Tensor> padded_columns, padded_rows;
  if (padding) {
    padded_columns = padding->select(1, 0);
    padded_rows = padding->select(2, 0);
  }
  // Means before the projection instead of after: the same by linearity, for a fraction of the work.
  const auto of_row = project(0, query_row), of_col = project(1, query_col);
  const auto column_key = project(2, key_row.mean(1)), row_key = project(3, key_col.mean(2));
  const auto values = project(4, value);
  at::Tensor mixed;
  if (ops::can_fuse(values)) {
    mixed = ops::fused_row_column(of_row, of_col, column_key, row_key, values, heads_, padded_columns, padded_rows);
  } else if (values.is_cuda()) {
    mixed = ops::cuda_row_column(of_row, of_col, column_key, row_key, values, heads_, padded_columns, padded_rows)
                .value_or(at::Tensor());
  }
  if (mixed.defined() && taps == nullptr) return out_proj_->forward(mixed);

  const auto split = [&](const at::Tensor& x) {  // [B,n,E] -> [B,heads,n,d]
    return x.reshape({x.size(0), x.size(1), heads_, -1}).transpose(1, 2);
  };
  const auto scale = std::sqrt(static_cast<double>(heads_) / static_cast<double>(value.size(3)));
  const auto over_width = attend(split(of_row) * scale, split(column_key), padded_columns);  // [B,heads,Q,W]
  const auto over_height = attend(split(of_col) * scale, split(row_key), padded_rows);       // [B,heads,Q,H]
  if (taps != nullptr) {
    tap(taps, "weights", (over_height.unsqueeze(-1) * over_width.unsqueeze(-2)).mean(1));  // [B,Q,H,W]
  }
  if (!mixed.defined()) mixed = mix(over_width, over_height, values);
  return out_proj_->forward(mixed);
}

}  // namespace cellsam::model
