// One block of the image encoder's vision transformer: attention within a window or over the whole grid, then a perceptron,
// both with a layer norm before and a residual sum after (ViTDet, Li et al., ECCV 2022).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "base/kept_tensor.h"
#include "model/activations.h"
#include "model/mlp.h"
#include "model/model_size.h"
#include "ops/frozen_linear.h"

namespace cellsam::model {

// Multi-head self-attention over a square of image tokens with decomposed relative positions (MViTv2, Li et al., CVPR 2022).
class VitAttentionImpl : public torch::nn::Module {
 public:
  // side: tokens along each axis of the square, that is of the window or of the whole grid.
  VitAttentionImpl(std::int64_t dim, std::int64_t heads, std::int64_t side);

  // [B,g,g,E] -> [B,g,g,E]. The score of query q at (qy,qx) and key k at (ky,kx), both [d] with d = E / heads, is
  //   q.k / sqrt(d) + q.rel_pos_h[qy - ky + side - 1] + q.rel_pos_w[qx - kx + side - 1]
  at::Tensor forward(const at::Tensor& x);

 private:
  std::int64_t heads_, side_;
  at::Tensor rel_pos_h_, rel_pos_w_;  // [2*side-1,d], the same for all heads
  KeptTensor folded_tails_;           // of ops::grid_attention
  torch::nn::Linear qkv_{nullptr}, proj_{nullptr};
  ops::FrozenLinear frozen_qkv_, frozen_proj_;  // compute qkv_ and proj_, faster while these do not train
};
TORCH_MODULE(VitAttention);

class VitBlockImpl : public torch::nn::Module {
 public:
  VitBlockImpl(const ModelSize& size, std::int64_t index);

  at::Tensor forward(const at::Tensor& x, Activations* activations = nullptr);  // [B,g,g,E] -> [B,g,g,E]

  // See ImageEncoder. Has no effect on a forward pass that records activations.
  void set_checkpointing(bool on) { checkpointing_ = on; }

 private:
  at::Tensor compute(const at::Tensor& x, Activations* activations);

  std::int64_t index_;
  std::int64_t window_;  // tokens a side; 0: the whole grid
  bool checkpointing_ = false;
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr};
  VitAttention attn_{nullptr};
  MlpBlock mlp_{nullptr};
};
TORCH_MODULE(VitBlock);

}  // namespace cellsam::model
