#include "model/anchor_layers.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include "base/cast_weights.h"
#include "model/apply_linear.h"
#include "ops/epilogues.h"
#include "ops/fused_attention.h"

namespace cellsam::model {
namespace {

torch::nn::LayerNorm layer_norm(const ModelSize& size) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({size.detector_dim}));
}

RowColumnDecoupledAttention rcda(const ModelSize& size) {
  return RowColumnDecoupledAttention(size.detector_dim, size.detector_heads, size.local_attention_init,
                                     size.local_attention_gain);
}

}  // namespace

AnchorFfnImpl::AnchorFfnImpl(const ModelSize& size) {
  linear1_ = register_module("linear1", torch::nn::Linear(size.detector_dim, size.detector_ffn));
  linear2_ = register_module("linear2", torch::nn::Linear(size.detector_ffn, size.detector_dim));
  norm2_ = register_module("norm2", layer_norm(size));
}

at::Tensor AnchorFfnImpl::forward(const at::Tensor& x) {
  return ops::norm_of_sum(x, apply_linear(*linear2_, apply_linear(*linear1_, x).relu_()), *norm2_);
}

QueryAttentionImpl::QueryAttentionImpl(std::int64_t dim, std::int64_t heads) : heads_(heads) {
  in_proj_weight_ = register_parameter("in_proj_weight", torch::nn::init::xavier_uniform_(at::empty({3 * dim, dim})));
  in_proj_bias_ = register_parameter("in_proj_bias", at::zeros({3 * dim}));
  out_proj_ = register_module("out_proj", torch::nn::Linear(dim, dim));
  torch::nn::init::zeros_(out_proj_->bias);
}

at::Tensor QueryAttentionImpl::forward(const at::Tensor& query_key, const at::Tensor& value) {
  const auto dim = value.size(2);
  const auto weight = weight_of(in_proj_weight_).split({2 * dim, dim}), bias = weight_of(in_proj_bias_).split({2 * dim, dim});
  const auto v = at::linear(value, weight[1], bias[1]);
  // Attention weights add up to one: a mean of equal values is that value, and no gradient reaches queries and keys.
  if (value.size(1) == 1) return apply_linear(*out_proj_, v);
  const auto both = at::linear(query_key, weight[0], bias[0]).chunk(2, -1);
  const auto &q = both[0], &k = both[1];
  if (ops::can_fuse(v)) return apply_linear(*out_proj_, ops::fused_attention(q, k, v, heads_));
  const auto split_heads = [&](const at::Tensor& x) {  // [B,Q,D] -> [B,heads,Q,d]
    return x.reshape({x.size(0), x.size(1), heads_, -1}).transpose(1, 2);
  };
  const auto attended = at::scaled_dot_product_attention(split_heads(q), split_heads(k), split_heads(v));
  return apply_linear(*out_proj_, attended.transpose(1, 2).reshape(value.sizes()));
}

// The mean of tokens and positions is the sum of their means, and a position does not change along the other axis.
ImageKeys image_keys(const at::Tensor& tokens, const ImagePosition& position) {
  return {tokens.mean(1) + position.row.squeeze(1), tokens.mean(2) + position.col.squeeze(2)};
}

AnchorEncoderLayerImpl::AnchorEncoderLayerImpl(const ModelSize& size) {
  self_attn_ = register_module("self_attn", rcda(size));
  norm1_ = register_module("norm1", layer_norm(size));
  ffn_ = register_module("ffn", AnchorFfn(size));
}

at::Tensor AnchorEncoderLayerImpl::forward(const at::Tensor& tokens, const ImagePosition& position,
                                           const std::optional<at::Tensor>& padding) {
  const auto row = tokens + position.row, col = tokens + position.col;                                         // [B,H,W,D]
  const auto attended = self_attn_->forward(row.flatten(1, 2), col.flatten(1, 2), row, col, tokens, padding);  // [B,H*W,D]
  return ffn_->forward(ops::norm_of_sum(tokens, attended.reshape(tokens.sizes()), *norm1_));
}

AnchorDecoderLayerImpl::AnchorDecoderLayerImpl(const ModelSize& size) {
  cross_attn_ = register_module("cross_attn", rcda(size));
  norm1_ = register_module("norm1", layer_norm(size));
  self_attn_ = register_module("self_attn", QueryAttention(size.detector_dim, size.detector_heads));
  norm2_ = register_module("norm2", layer_norm(size));
  ffn_ = register_module("ffn", AnchorFfn(size));
}

at::Tensor AnchorDecoderLayerImpl::forward(at::Tensor queries, const QueryPosition& query_position, const at::Tensor& tokens,
                                           const ImageKeys& keys, const std::optional<at::Tensor>& padding) {
  queries = ops::norm_of_sum(queries, self_attn_->forward(queries + query_position.plane, queries), *norm2_);
  const auto attended = cross_attn_->attend(queries + query_position.row, queries + query_position.col, keys.row, keys.col,
                                            tokens, padding);  // [B,Q,D]
  return ffn_->forward(ops::norm_of_sum(queries, attended, *norm1_));
}

}  // namespace cellsam::model
