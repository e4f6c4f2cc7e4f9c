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
  q_proj = register_module("q_proj", torch::nn::Linear(dim, inner));
  k_proj = register_module("k_proj", torch::nn::Linear(dim, inner));
  v_proj = register_module("v_proj", torch::nn::Linear(dim, inner));
  out_proj = register_module("out_proj", torch::nn::Linear(inner, dim));
  if (!local) return;
  init_local(q_proj->weight, k_proj->weight, gain);
  init_zero(q_proj->bias);
  init_zero(k_proj->bias);
}

ops::CrossAttention TokenAttentionImpl::weights() const {
  const auto affine = [](const torch::nn::Linear& linear) { return ops::Affine{linear->weight, linear->bias}; };
  return {affine(q_proj), affine(k_proj), affine(v_proj), affine(out_proj)};
}

at::Tensor TokenAttentionImpl::mix(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto mixed =
      at::scaled_dot_product_attention(split_heads(q_proj->forward(q), heads_), split_heads(k_proj->forward(k), heads_),
                                       split_heads(v_proj->forward(v), heads_));
  return mixed.transpose(1, 2).reshape({q.size(0), q.size(1), -1});
}

at::Tensor TokenAttentionImpl::forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return out_proj->forward(mix(q, k, v));
}

TwoWayLayerImpl::TwoWayLayerImpl(const ModelSize& size, bool first) : first_(first) {
  const auto dim = size.prompt_dim, heads = size.decoder_heads;
  const auto cross = [&] { return TokenAttention(dim, dim / 2, heads, size.local_attention_init, size.local_attention_gain); };
  self_attn_ = register_module("self_attn", TokenAttention(dim, dim, heads, false, 1.0));
  norm1_ = register_module("norm1", norm(dim));
  cross_attn_token_to_image = register_module("cross_attn_token_to_image", cross());
  norm2_ = register_module("norm2", norm(dim));
  mlp_ = register_module("mlp", FeedForward(dim, size.decoder_mlp, Activation::relu));
  norm3_ = register_module("norm3", norm(dim));
  norm4 = register_module("norm4", norm(dim));
  cross_attn_image_to_token = register_module("cross_attn_image_to_token", cross());
}

at::Tensor TwoWayLayerImpl::among_tokens(const at::Tensor& tokens, const at::Tensor& token_position) {
  // In the first layer the tokens are their own positions: nothing to add, and no residual either.
  if (first_) return norm1_->forward(self_attn_->forward(tokens, tokens, tokens));
  const auto q = tokens + token_position;
  return norm1_->forward(tokens + self_attn_->forward(q, q, tokens));
}

at::Tensor TwoWayLayerImpl::after_cells(const at::Tensor& tokens, const at::Tensor& seen) {
  const auto informed = norm2_->forward(tokens + cross_attn_token_to_image->out_proj->forward(seen));
  return norm3_->forward(informed + mlp_->forward(informed));
}

TokensAndCells TwoWayLayerImpl::forward(TokensAndCells state, const at::Tensor& token_position,
                                        const at::Tensor& cell_position) {
  auto [tokens, cells] = std::move(state);
  tokens = among_tokens(tokens, token_position);
  const auto placed_cells = cells + cell_position;
  tokens = after_cells(tokens, cross_attn_token_to_image->mix(tokens + token_position, placed_cells, cells));
  cells = norm4->forward(cells + cross_attn_image_to_token->forward(placed_cells, tokens + token_position, tokens));
  return {tokens, cells};
}

TwoWayTransformerImpl::TwoWayTransformerImpl(const ModelSize& size) : heads_(size.decoder_heads) {
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

ops::CellWeights TwoWayTransformerImpl::cell_weights() const {
  auto &first = layer(0), &second = layer(1);
  const auto affine = [](const torch::nn::LayerNorm& norm) { return ops::Affine{norm->weight, norm->bias}; };
  return {heads_,
          first.cross_attn_token_to_image->weights(),
          second.cross_attn_token_to_image->weights(),
          final_attn_token_to_image_->weights(),
          first.cross_attn_image_to_token->weights(),
          second.cross_attn_image_to_token->weights(),
          affine(first.norm4),
          affine(second.norm4),
          first.norm4->options.eps(),
          {}};
}

at::Tensor TwoWayTransformerImpl::forward(std::vector<ops::PromptedImage>& images, const std::vector<std::int64_t>& counts,
                                          const at::Tensor& tokens) {
  const auto read = [&](at::Tensor (ops::PromptedImage::*from)(const at::Tensor&), TokenAttention& attention,
                        const at::Tensor& placed) {
    const auto q = attention->q_proj->forward(placed).split_with_sizes(counts);
    std::vector<at::Tensor> seen;
    for (std::size_t i = 0; i < images.size(); ++i) seen.push_back((images[i].*from)(q[i]));
    return at::cat(seen);
  };
  const auto write = [&](void (ops::PromptedImage::*to)(const at::Tensor&, const at::Tensor&), TokenAttention& attention,
                         const at::Tensor& placed, const at::Tensor& state) {
    const auto k = attention->k_proj->forward(placed).split_with_sizes(counts);
    const auto v = attention->v_proj->forward(state).split_with_sizes(counts);
    for (std::size_t i = 0; i < images.size(); ++i) (images[i].*to)(k[i], v[i]);
  };
  auto &first = layer(0), &second = layer(1);
  auto state = first.among_tokens(tokens, tokens);
  state = first.after_cells(state, read(&ops::PromptedImage::read1, first.cross_attn_token_to_image, state + tokens));
  write(&ops::PromptedImage::write1, first.cross_attn_image_to_token, state + tokens, state);
  state = second.among_tokens(state, tokens);
  state = second.after_cells(state, read(&ops::PromptedImage::read2, second.cross_attn_token_to_image, state + tokens));
  write(&ops::PromptedImage::write2, second.cross_attn_image_to_token, state + tokens, state);
  const auto seen = read(&ops::PromptedImage::read3, final_attn_token_to_image_, state + tokens);
  return norm_final_attn_->forward(state + final_attn_token_to_image_->out_proj->forward(seen));
}

}  // namespace cellsam::model
