// A head of training alone: every image token predicts whether it is in the middle of a cell, and the cell's box. So each cell
// teaches several tokens in every step, where the matching gives it one query whose choice still changes, and the backbone
// learns sooner what a cell looks like (auxiliary dense head: Co-DETR, Zong et al., ICCV 2023). It is no part of the network,
// and never in its weights.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

namespace cellsam::model {

// T = H * W tokens, row by row.
struct DensePredictions {
  at::Tensor logits;  // [B,T], of a cell
  at::Tensor boxes;   // [B,T,4] as (cx,cy,w,h) in 0..1 of the model's input
};

class DenseHeadImpl : public torch::nn::Module {
 public:
  // dim: channels of the tokens, a multiple of 32. It always starts with the same weights, by a generator of its own: cells
  // have probability 0.01, and boxes are small and at their tokens, as in the detector.
  explicit DenseHeadImpl(std::int64_t dim);

  DensePredictions forward(const at::Tensor& tokens);  // [B,H,W,D], of the detector's encoder

 private:
  at::Tensor conv_weight_, conv_bias_, norm_weight_, norm_bias_, class_weight_, class_bias_, box_weight_, box_bias_;
};
TORCH_MODULE(DenseHead);

}  // namespace cellsam::model
