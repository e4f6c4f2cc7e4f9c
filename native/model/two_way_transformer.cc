#include "model/two_way_transformer.h"

#include <ATen/ATen.h>

#include "model/local_init.h"

namespace cellsam::model {
namespace {

at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {  // [N,t,C] -> [N,heads,t,C/heads]
  return x.reshape({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

torch::nn::LayerNorm norm(std::int64_t dim) { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim})); }

}  // namespace

TokenAttentionImpl::TokenAttentionImpl(std::int64_t dim, std::int64_t inner, std::int64_t heads, bool local, double gain)
    : heads_(heads) {
  q_proj_ = register_module("q_proj", torch::nn::Linear(dim, inner));
  k_proj_ = register_module("k_proj", torch::nn::Linear(dim, inner));
  v_proj_ = register_module("v_proj", torch::nn::Linear(dim, inner));
  out_proj_ = register_module("out_proj", torch::nn::Linear(inner, dim));
  if (!local) return;
  init_local(q_proj_->weight, k_proj_->weight, gain);
  init_zero(q_proj_->bias);
  init_zero(k_proj_->bias);
}

at::Tensor TokenAttentionImpl::forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto mixed =
      at::scaled_dot_product_attention(split_heads(q_proj_->forward(q), heads_), split_heads(k_proj_->forward(k), heads_),
                                       split_heads(v_proj_->forward(v), heads_));
  return out_proj_->forward(mixed.transpose(1, 2).reshape({q.size(0), q.size(1), -1}));
}

TwoWayLayerImpl::TwoWayLayerImpl(const ModelSize& size, bool first) : first_(first) {
  const auto dim = size.prompt_dim, heads = size.decoder_heads;
  const auto cross = [&] { return TokenAttention(dim, dim / 2, heads, size.local_attention_init, size.local_attention_gain); };
  self_attn_ = register_module("self_attn", TokenAttention(dim, dim, heads, false, 1.0));
  norm1_ = register_module("norm1", norm(dim));
  cross_attn_token_to_image_ = register_module("cross_attn_token_to_image", cross());
  norm2_ = register_module("norm2", norm(dim));
  mlp_ = register_module("mlp", FeedForward(dim, size.decoder_mlp, Activation::relu));
  norm3_ = register_module("norm3", norm(dim));
  norm4_ = register_module("norm4", norm(dim));
  cross_attn_image_to_token_ = register_module("cross_attn_image_to_token", cross());
}

TokensAndCells TwoWayLayerImpl::forward(TokensAndCells state, const at::Tensor& token_position,
                                        const at::Tensor& cell_position) {
  auto [tokens, cells] = std::move(state);
  if (first_) {  // the tokens are their own positions here: nothing to add, and no residual either
    tokens = self_attn_->forward(tokens, tokens, tokens);
  } else {
    const auto q = tokens + token_position;
    tokens = tokens + self_attn_->forward(q, q, tokens);
  }
  tokens = norm1_->forward(tokens);

  const auto placed_cells = cells + cell_position;
  tokens = norm2_->forward(tokens + cross_attn_token_to_image_->forward(tokens + token_position, placed_cells, cells));
  tokens = norm3_->forward(tokens + mlp_->forward(tokens));
  cells = norm4_->forward(cells + cross_attn_image_to_token_->forward(placed_cells, tokens + token_position, tokens));
  return {tokens, cells};
}

TwoWayTransformerImpl::TwoWayTransformerImpl(const ModelSize& size) {
  register_module("layers", layers_);
  for (std::int64_t i = 0; i < size.decoder_depth; ++i) layers_->push_back(TwoWayLayer(size, i == 0));
  final_attn_token_to_image_ =
      register_module("final_attn_token_to_image", TokenAttention(size.prompt_dim, size.prompt_dim / 2, size.decoder_heads,
                                                                  size.local_attention_init, size.local_attention_gain));
  norm_final_attn_ = register_module("norm_final_attn", norm(size.prompt_dim));
}

TokensAndCells TwoWayTransformerImpl::forward(const at::Tensor& image, const at::Tensor& image_position,
                                              const at::Tensor& tokens, Taps* taps) {
  const auto cell_position = image_position.flatten(2).transpose(1, 2);
  TokensAndCells state{tokens, image.flatten(2).transpose(1, 2)};
  for (std::size_t i = 0; i < layers_->size(); ++i) {
    state = layers_[i]->as<TwoWayLayer>()->forward(std::move(state), tokens, cell_position);
    tap(taps, "layer" + std::to_string(i) + ".queries", state.tokens);
    tap(taps, "layer" + std::to_string(i) + ".keys", state.cells);
  }
  const auto last = final_attn_token_to_image_->forward(state.tokens + tokens, state.cells + cell_position, state.cells);
  state.tokens = norm_final_attn_->forward(state.tokens + last);
  tap(taps, "hs", state.tokens);
  tap(taps, "src", state.cells);
  return state;
}

}  // namespace cellsam::model
