#include "model/two_way_transformer.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include "model/apply_linear.h"
#include "model/attention_init.h"

namespace cellsam::model {
namespace {

at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) {  // [N,t,C] -> [N,heads,t,C/heads]
  return x.reshape({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

torch::nn::LayerNorm layer_norm(std::int64_t dim) { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim})); }

DownscalingAttention cross_attention(const ModelSize& size) {
  return DownscalingAttention(size.prompt_dim, size.prompt_dim / 2, size.decoder_heads, size.local_attention_init,
                              size.local_attention_gain);
}

}  // namespace

DownscalingAttentionImpl::DownscalingAttentionImpl(std::int64_t dim, std::int64_t inner, std::int64_t heads, bool local,
                                                   double gain)
    : heads_(heads) {
  q_proj = register_module("q_proj", torch::nn::Linear(dim, inner));
  k_proj = register_module("k_proj", torch::nn::Linear(dim, inner));
  v_proj = register_module("v_proj", torch::nn::Linear(dim, inner));
  out_proj = register_module("out_proj", torch::nn::Linear(inner, dim));
  if (!local) return;
  init_local_attention(q_proj->weight, k_proj->weight, gain);
  torch::nn::init::zeros_(q_proj->bias);
  torch::nn::init::zeros_(k_proj->bias);
}

at::Tensor DownscalingAttentionImpl::forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return frozen_out_.forward(*out_proj, attend(q, k, v));
}

at::Tensor DownscalingAttentionImpl::attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto attended = at::scaled_dot_product_attention(
      split_heads(frozen_q_.forward(*q_proj, q), heads_), split_heads(frozen_k_.forward(*k_proj, k), heads_),
      split_heads(frozen_v_.forward(*v_proj, v), heads_));  // [N,heads,a,inner/heads]
  return attended.transpose(1, 2).reshape({q.size(0), q.size(1), -1});
}

ops::CrossAttention DownscalingAttentionImpl::weights() const {
  const auto affine = [](const torch::nn::Linear& linear) { return ops::Affine{linear->weight, linear->bias}; };
  return {affine(q_proj), affine(k_proj), affine(v_proj), affine(out_proj)};
}

TwoWayAttentionBlockImpl::TwoWayAttentionBlockImpl(const ModelSize& size, bool first) : first_(first) {
  const auto dim = size.prompt_dim;
  self_attn_ = register_module("self_attn", DownscalingAttention(dim, dim, size.decoder_heads, /*local=*/false, /*gain=*/1.0));
  norm1_ = register_module("norm1", layer_norm(dim));
  cross_attn_token_to_image = register_module("cross_attn_token_to_image", cross_attention(size));
  norm2_ = register_module("norm2", layer_norm(dim));
  mlp_ = register_module("mlp", MlpBlock(dim, size.decoder_mlp, Activation::relu));
  norm3_ = register_module("norm3", layer_norm(dim));
  norm4 = register_module("norm4", layer_norm(dim));
  cross_attn_image_to_token = register_module("cross_attn_image_to_token", cross_attention(size));
}

TokensAndImage TwoWayAttentionBlockImpl::forward(TokensAndImage state, const at::Tensor& token_pe, const at::Tensor& image_pe) {
  auto [tokens, image] = std::move(state);

  tokens = self_attention(tokens, token_pe);

  const auto image_with_pe = image + image_pe;
  tokens = after_image(tokens, cross_attn_token_to_image->attend(tokens + token_pe, image_with_pe, image));

  image = norm4->forward(image + cross_attn_image_to_token->forward(image_with_pe, tokens + token_pe, tokens));
  return {tokens, image};
}

at::Tensor TwoWayAttentionBlockImpl::self_attention(const at::Tensor& tokens, const at::Tensor& token_pe) {
  // In SAM the first block adds neither positions, which the tokens are themselves, nor a residual.
  if (first_) return norm1_->forward(self_attn_->forward(tokens, tokens, tokens));
  const auto q = tokens + token_pe;
  return norm1_->forward(tokens + self_attn_->forward(q, q, tokens));
}

at::Tensor TwoWayAttentionBlockImpl::after_image(const at::Tensor& tokens, const at::Tensor& attended) {
  const auto x = norm2_->forward(tokens + apply_linear(*cross_attn_token_to_image->out_proj, attended));
  return norm3_->forward(x + mlp_->forward(x));
}

TwoWayTransformerImpl::TwoWayTransformerImpl(const ModelSize& size) : heads_(size.decoder_heads) {
  register_module("layers", blocks_);
  for (std::int64_t i = 0; i < size.decoder_depth; ++i) blocks_->push_back(TwoWayAttentionBlock(size, /*first=*/i == 0));
  final_attn_token_to_image_ = register_module("final_attn_token_to_image", cross_attention(size));
  norm_final_attn_ = register_module("norm_final_attn", layer_norm(size.prompt_dim));
}

TokensAndImage TwoWayTransformerImpl::forward(const at::Tensor& image, const at::Tensor& image_pe_map, const at::Tensor& tokens,
                                              Activations* activations) {
  const auto image_pe = image_pe_map.flatten(2).transpose(1, 2);  // [N or 1,g*g,C]
  // In memory token by token: what follows then needs no copies of its own.
  TokensAndImage state{tokens, image.flatten(2).transpose(1, 2).contiguous()};  // [N,t,C], [N or 1,g*g,C]
  for (std::size_t i = 0; i < blocks_->size(); ++i) {
    state = block(i).forward(std::move(state), tokens, image_pe);
    record(activations, "layer" + std::to_string(i) + ".queries", state.tokens);
    record(activations, "layer" + std::to_string(i) + ".keys", state.image_tokens);
  }
  const auto attended =
      final_attn_token_to_image_->forward(state.tokens + tokens, state.image_tokens + image_pe, state.image_tokens);
  state.tokens = norm_final_attn_->forward(state.tokens + attended);
  record(activations, "hs", state.tokens);
  record(activations, "src", state.image_tokens);
  return state;
}

// Line by line what forward() does, with the image tokens in their factored form. Each image has its own, so what belongs to
// the image is done image by image, and what belongs to the tokens for all prompts at once.
at::Tensor TwoWayTransformerImpl::forward_factored(std::vector<ops::FactoredImageTokens>& images,
                                                   const std::vector<std::int64_t>& counts, const at::Tensor& tokens) {
  using Image = ops::FactoredImageTokens;
  const auto token_to_image = [&](at::Tensor (Image::*attend)(const at::Tensor&), DownscalingAttention& attention,
                                  const at::Tensor& queries) {
    const auto q = apply_linear(*attention->q_proj, queries).split_with_sizes(counts);
    std::vector<at::Tensor> attended;
    for (std::size_t i = 0; i < images.size(); ++i) attended.push_back((images[i].*attend)(q[i]));
    return at::cat(attended);  // [N,t,inner]
  };
  const auto image_to_token = [&](void (Image::*attend)(const at::Tensor&, const at::Tensor&), DownscalingAttention& attention,
                                  const at::Tensor& keys, const at::Tensor& values) {
    const auto k = apply_linear(*attention->k_proj, keys).split_with_sizes(counts);
    const auto v = apply_linear(*attention->v_proj, values).split_with_sizes(counts);
    for (std::size_t i = 0; i < images.size(); ++i) (images[i].*attend)(k[i], v[i]);
  };
  auto &first = block(0), &second = block(1);

  auto x = first.self_attention(tokens, tokens);
  x = first.after_image(x, token_to_image(&Image::token_to_image_1, first.cross_attn_token_to_image, x + tokens));
  image_to_token(&Image::image_to_token_1, first.cross_attn_image_to_token, x + tokens, x);

  x = second.self_attention(x, tokens);
  x = second.after_image(x, token_to_image(&Image::token_to_image_2, second.cross_attn_token_to_image, x + tokens));
  image_to_token(&Image::image_to_token_2, second.cross_attn_image_to_token, x + tokens, x);

  const auto attended = token_to_image(&Image::token_to_image_3, final_attn_token_to_image_, x + tokens);
  return norm_final_attn_->forward(x + apply_linear(*final_attn_token_to_image_->out_proj, attended));
}

ops::ImageTokenWeights TwoWayTransformerImpl::factored_weights() const {
  auto &first = block(0), &second = block(1);
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

}  // namespace cellsam::model
