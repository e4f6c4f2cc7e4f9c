// The mask decoder's transformer: a few prompt tokens and the image's cells attend to each other, in both directions
// (Segment Anything, Kirillov et al., ICCV 2023, appendix A).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "model/build.h"
#include "model/mlp.h"
#include "model/taps.h"
#include "ops/factored_image_tokens.h"

namespace cellsam::model {

// Multi-head attention whose inner width may be smaller than its outer one.
class TokenAttentionImpl : public torch::nn::Module {
 public:
  // `local`: query and key projections start equal and orthogonal (times `gain`), without bias.
  TokenAttentionImpl(std::int64_t dim, std::int64_t inner, std::int64_t heads, bool local, double gain);
  at::Tensor forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);  // [N,a,C], [N,b,C], [N,b,C] -> [N,a,C]
  at::Tensor mix(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);      // the same before the output projection
  ops::CrossAttention weights() const;

  torch::nn::Linear q_proj{nullptr}, k_proj{nullptr}, v_proj{nullptr}, out_proj{nullptr};

 private:
  std::int64_t heads_;
};
TORCH_MODULE(TokenAttention);

struct TokensAndCells {
  at::Tensor tokens;  // [N,t,C]
  at::Tensor cells;   // [N,g*g,C]
};

class TwoWayLayerImpl : public torch::nn::Module {
 public:
  TwoWayLayerImpl(const ModelSize& size, bool first);
  TokensAndCells forward(TokensAndCells state, const at::Tensor& token_position, const at::Tensor& cell_position);

  // The tokens' own steps, before and after they look at the cells; `seen` is what they saw, before the output projection.
  at::Tensor among_tokens(const at::Tensor& tokens, const at::Tensor& token_position);
  at::Tensor after_cells(const at::Tensor& tokens, const at::Tensor& seen);

  TokenAttention cross_attn_token_to_image{nullptr}, cross_attn_image_to_token{nullptr};
  torch::nn::LayerNorm norm4{nullptr};

 private:
  bool first_;
  TokenAttention self_attn_{nullptr};
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr}, norm3_{nullptr};
  FeedForward mlp_{nullptr};
};
TORCH_MODULE(TwoWayLayer);

class TwoWayTransformerImpl : public torch::nn::Module {
 public:
  explicit TwoWayTransformerImpl(const ModelSize& size);

  // image, image_position [N or 1,C,g,g], tokens [N,t,C] -> tokens [N,t,C] and cells [N,g*g,C].
  TokensAndCells forward(const at::Tensor& image, const at::Tensor& image_position, const at::Tensor& tokens,
                         Taps* taps = nullptr);

  // The same for prompts that share images: `images` with `counts` prompts each, in the order of tokens [N,t,C]. Answers the
  // tokens; the cells stay in `images`. Only for the two layers that SAM has, see `factors`.
  at::Tensor forward(std::vector<ops::PromptedImage>& images, const std::vector<std::int64_t>& counts,
                     const at::Tensor& tokens);
  bool can_factor() const { return layers_->size() == 2; }
  ops::CellWeights cell_weights() const;  // all but `up`

 private:
  TwoWayLayerImpl& layer(std::size_t index) const { return *layers_->ptr<TwoWayLayerImpl>(index); }

  std::int64_t heads_;
  torch::nn::ModuleList layers_;
  TokenAttention final_attn_token_to_image_{nullptr};
  torch::nn::LayerNorm norm_final_attn_{nullptr};
};
TORCH_MODULE(TwoWayTransformer);

}  // namespace cellsam::model
