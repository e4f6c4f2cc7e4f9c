// The transformer of SAM's mask decoder (Segment Anything, Kirillov et al., ICCV 2023, appendix A): a few prompt tokens and the
// tokens of the image attend to each other, in both directions.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "model/activations.h"
#include "model/mlp.h"
#include "model/model_size.h"
#include "ops/factored_image_tokens.h"
#include "ops/frozen_linear.h"

namespace cellsam::model {

// Multi-head attention whose projections may go to fewer channels than the tokens have.
class DownscalingAttentionImpl : public torch::nn::Module {
 public:
  // inner: channels of the projected queries, keys and values. local: see attention_init.h; the query and key projections then
  // have no bias either.
  DownscalingAttentionImpl(std::int64_t dim, std::int64_t inner, std::int64_t heads, bool local, double gain);

  // Queries [N,a,C], keys and values [N,b,C] -> [N,a,C].
  at::Tensor forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

  // The same without the output projection: [N,a,inner].
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

  ops::CrossAttention weights() const;

  torch::nn::Linear q_proj{nullptr}, k_proj{nullptr}, v_proj{nullptr}, out_proj{nullptr};

 private:
  std::int64_t heads_;
  ops::FrozenLinear frozen_q_, frozen_k_, frozen_v_, frozen_out_;  // compute the above, faster while these do not train
};
TORCH_MODULE(DownscalingAttention);

struct TokensAndImage {
  at::Tensor tokens;        // [N,t,C]
  at::Tensor image_tokens;  // [N,g*g,C]
};

class TwoWayAttentionBlockImpl : public torch::nn::Module {
 public:
  // first: the first block, whose tokens are their own position embeddings.
  TwoWayAttentionBlockImpl(const ModelSize& size, bool first);

  // token_pe [N,t,C] and image_pe [N or 1,g*g,C] are added to queries and keys.
  TokensAndImage forward(TokensAndImage state, const at::Tensor& token_pe, const at::Tensor& image_pe);

  // The steps of forward() that belong to the tokens alone, before and after they attend to the image. attended
  // [N,t,inner]: what that attention gave, before its output projection.
  at::Tensor self_attention(const at::Tensor& tokens, const at::Tensor& token_pe);  // [N,t,C] -> [N,t,C]
  at::Tensor after_image(const at::Tensor& tokens, const at::Tensor& attended);     // [N,t,C] -> [N,t,C]

  DownscalingAttention cross_attn_token_to_image{nullptr}, cross_attn_image_to_token{nullptr};
  torch::nn::LayerNorm norm4{nullptr};

 private:
  bool first_;
  DownscalingAttention self_attn_{nullptr};
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr}, norm3_{nullptr};
  MlpBlock mlp_{nullptr};
};
TORCH_MODULE(TwoWayAttentionBlock);

class TwoWayTransformerImpl : public torch::nn::Module {
 public:
  explicit TwoWayTransformerImpl(const ModelSize& size);

  // Image and its position embedding [N or 1,C,g,g], prompt tokens [N,t,C] -> both as they are after all blocks.
  TokensAndImage forward(const at::Tensor& image, const at::Tensor& image_pe, const at::Tensor& tokens,
                         Activations* activations = nullptr);

  // The same function in the factored form (docs/math.md), for prompts that share images: counts[i] prompts of images[i], in
  // the order of tokens [N,t,C]. Returns the tokens [N,t,C]; the image tokens stay in `images`. Needs can_factor().
  at::Tensor forward_factored(std::vector<ops::FactoredImageTokens>& images, const std::vector<std::int64_t>& counts,
                              const at::Tensor& tokens);

  // Whether the factored form, which is written for SAM's two blocks, fits.
  bool can_factor() const { return blocks_->size() == 2; }

  ops::ImageTokenWeights factored_weights() const;  // all but `up`, which are the mask decoder's

 private:
  TwoWayAttentionBlockImpl& block(std::size_t index) const { return *blocks_->ptr<TwoWayAttentionBlockImpl>(index); }

  std::int64_t heads_;
  torch::nn::ModuleList blocks_;
  DownscalingAttention final_attn_token_to_image_{nullptr};
  torch::nn::LayerNorm norm_final_attn_{nullptr};
};
TORCH_MODULE(TwoWayTransformer);

}  // namespace cellsam::model
