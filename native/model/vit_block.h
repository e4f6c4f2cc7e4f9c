// One block of SAM's vision transformer: attention over a window or the whole grid with decomposed relative positions, then a
// perceptron, both pre-norm and residual (ViTDet, Li et al., ECCV 2022; relative positions after MViTv2, Li et al., CVPR 2022).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "model/build.h"
#include "model/mlp.h"
#include "model/taps.h"
#include "ops/frozen_linear.h"

namespace cellsam::model {

class GridAttentionImpl : public torch::nn::Module {
 public:
  // side: cells along each axis of the square that attends within itself (the window or the grid).
  GridAttentionImpl(std::int64_t dim, std::int64_t heads, std::int64_t side);

  // [B,g,g,E] -> [B,g,g,E]. Score of query q and key k = q.k / sqrt(d) + q.Rh[qy - ky] + q.Rw[qx - kx].
  at::Tensor forward(const at::Tensor& x);

 private:
  std::int64_t heads_, side_;
  at::Tensor rel_pos_h_, rel_pos_w_;  // [2*side-1,d], row q - k + side - 1, shared by all heads
  torch::nn::Linear qkv_{nullptr}, proj_{nullptr};
  ops::FrozenLinear cast_qkv_, cast_proj_;
};
TORCH_MODULE(GridAttention);

class VitBlockImpl : public torch::nn::Module {
 public:
  VitBlockImpl(const ModelSize& size, std::int64_t index);
  at::Tensor forward(const at::Tensor& x, Taps* taps = nullptr);  // [B,g,g,E] -> [B,g,g,E]
  void set_checkpointing(bool on) { checkpointing_ = on; }        // keeps its input only; without taps

 private:
  at::Tensor compute(const at::Tensor& x, Taps* taps);

  std::int64_t index_, window_;  // window 0: the whole grid
  bool checkpointing_ = false;
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr};
  GridAttention attn_{nullptr};
  FeedForward mlp_{nullptr};
};
TORCH_MODULE(VitBlock);

}  // namespace cellsam::model
