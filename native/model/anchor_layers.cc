#include "model/anchor_layers.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include "model/local_init.h"
#include "ops/epilogues.h"
#include "ops/fused_attention.h"

namespace cellsam::model {
namespace {

torch::nn::LayerNorm norm(const ModelSize& size) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({size.detector_dim}));
}

RowColumnAttention row_column(const ModelSize& size) {
  return RowColumnAttention(size.detector_dim, size.detector_heads, size.local_attention_init, size.local_attention_gain);
}

}  // namespace

AnchorFfnImpl::AnchorFfnImpl(const ModelSize& size) {
  linear1_ = register_module("linear1", torch::nn::Linear(size.detector_dim, size.detector_ffn));
  linear2_ = register_module("linear2", torch::nn::Linear(size.detector_ffn, size.detector_dim));
  norm2_ = register_module("norm2", norm(size));
}

at::Tensor AnchorFfnImpl::forward(const at::Tensor& x) {
  return ops::norm_of_sum(x, linear2_->forward(linear1_->forward(x).relu_()), *norm2_);
}

QueryAttentionImpl::QueryAttentionImpl(std::int64_t dim, std::int64_t heads) : heads_(heads) {
  in_proj_weight_ = register_parameter("in_proj_weight", torch::nn::init::xavier_uniform_(at::empty({3 * dim, dim})));
  in_proj_bias_ = register_parameter("in_proj_bias", at::zeros({3 * dim}));
  out_proj_ = register_module("out_proj", torch::nn::Linear(dim, dim));
  init_zero(out_proj_->bias);
}

at::Tensor QueryAttentionImpl::forward(const at::Tensor& placed, const at::Tensor& value) {
  const auto weight = in_proj_weight_.chunk(3), bias = in_proj_bias_.chunk(3);
  const auto project = [&](std::size_t part, const at::Tensor& x) { return at::linear(x, weight[part], bias[part]); };
  const auto what = project(2, value);
  // However the weights fall, they add up to one: of equal values they make that value, and queries and keys get no gradient.
  if (value.size(1) == 1) return out_proj_->forward(what);
  const auto query = project(0, placed), key = project(1, placed);
  if (ops::can_fuse(what)) return out_proj_->forward(ops::fused_attention(query, key, what, heads_));
  const auto split = [&](const at::Tensor& x) {  // [B,Q,D] -> [B,heads,Q,d]
    return x.reshape({x.size(0), x.size(1), heads_, -1}).transpose(1, 2);
  };
  const auto mixed = at::scaled_dot_product_attention(split(query), split(key), split(what));
  return out_proj_->forward(mixed.transpose(1, 2).reshape(value.sizes()));
}

AnchorEncoderLayerImpl::AnchorEncoderLayerImpl(const ModelSize& size) {
  self_attn_ = register_module("self_attn", row_column(size));
  norm1_ = register_module("norm1", norm(size));
  ffn_ = register_module("ffn", AnchorFfn(size));
}

at::Tensor AnchorEncoderLayerImpl::forward(const at::Tensor& cells, const CellPosition& position,
                                           const std::optional<at::Tensor>& padding) {
  const auto row = cells + position.row, col = cells + position.col;
  const auto mixed = self_attn_->forward(row.flatten(1, 2), col.flatten(1, 2), row, col, cells, padding);
  return ffn_->forward(ops::norm_of_sum(cells, mixed.reshape(cells.sizes()), *norm1_));
}

AnchorDecoderLayerImpl::AnchorDecoderLayerImpl(const ModelSize& size) {
  cross_attn_ = register_module("cross_attn", row_column(size));
  norm1_ = register_module("norm1", norm(size));
  self_attn_ = register_module("self_attn", QueryAttention(size.detector_dim, size.detector_heads));
  norm2_ = register_module("norm2", norm(size));
  ffn_ = register_module("ffn", AnchorFfn(size));
}

at::Tensor AnchorDecoderLayerImpl::forward(at::Tensor queries, const QueryPosition& query_position, const at::Tensor& cells,
                                           const CellPosition& cell_position, const std::optional<at::Tensor>& padding) {
  queries = ops::norm_of_sum(queries, self_attn_->forward(queries + query_position.plane, queries), *norm2_);
  const auto seen = cross_attn_->forward(queries + query_position.row, queries + query_position.col, cells + cell_position.row,
                                         cells + cell_position.col, cells, padding);
  return ffn_->forward(ops::norm_of_sum(queries, seen, *norm1_));
}

}  // namespace cellsam::model
