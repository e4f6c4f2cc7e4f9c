#include "model/vit_block.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "ops/epilogues.h"
#include "ops/grid_attention.h"
#include "ops/recompute.h"

namespace cellsam::model {

VitAttentionImpl::VitAttentionImpl(std::int64_t dim, std::int64_t heads, std::int64_t side) : heads_(heads), side_(side) {
  rel_pos_h_ = register_parameter("rel_pos_h", at::zeros({2 * side - 1, dim / heads}));
  rel_pos_w_ = register_parameter("rel_pos_w", at::zeros({2 * side - 1, dim / heads}));
  qkv_ = register_module("qkv", torch::nn::Linear(dim, 3 * dim));
  proj_ = register_module("proj", torch::nn::Linear(dim, dim));
}

at::Tensor VitAttentionImpl::forward(const at::Tensor& x) {
  const auto qkv = frozen_qkv_.forward(*qkv_, x);  // [B,g,g,3*E]
  // SAM pads windows that reach past the grid with zeros before qkv, and does not mask them: a padded token is attended to with
  // the bias of qkv as its query, key and value. So neither linear layer has to compute rows for the padding.
  const auto mixed = ops::grid_attention(qkv, qkv_->bias, rel_pos_h_, rel_pos_w_, heads_, side_, &folded_tails_);  // [B,g,g,E]
  return frozen_proj_.forward(*proj_, mixed);
}

VitBlockImpl::VitBlockImpl(const ModelSize& size, std::int64_t index) : index_(index) {
  const auto& global = size.global_blocks;
  window_ = std::find(global.begin(), global.end(), index) == global.end() ? size.window : 0;
  const auto norm = torch::nn::LayerNormOptions({size.embed_dim}).eps(1e-6);
  const auto hidden = static_cast<std::int64_t>(static_cast<double>(size.embed_dim) * size.mlp_ratio);
  norm1_ = register_module("norm1", torch::nn::LayerNorm(norm));
  attn_ = register_module("attn", VitAttention(size.embed_dim, size.heads, window_ == 0 ? size.grid() : window_));
  norm2_ = register_module("norm2", torch::nn::LayerNorm(norm));
  mlp_ = register_module("mlp", MlpBlock(size.embed_dim, hidden, Activation::gelu));
}

at::Tensor VitBlockImpl::forward(const at::Tensor& x, Activations* activations) {
  if (!checkpointing_ || activations != nullptr) return compute(x, activations);
  return ops::recompute([this](const at::Tensor& input) { return compute(input, nullptr); }, x, parameters());
}

// y = x + attention(norm1(x)), then y + mlp(norm2(y)).
at::Tensor VitBlockImpl::compute(const at::Tensor& x, Activations* activations) {
  const auto attended = attn_->forward(ops::norm_of(x, *norm1_));
  record(activations, "block" + std::to_string(index_) + ".attn", attended);
  const auto [y, normed] = ops::add_norm(x, attended, *norm2_);
  const auto out = ops::sum_of(y, mlp_->forward(normed));
  record(activations, "block" + std::to_string(index_), out);
  return out;
}

}  // namespace cellsam::model
