// The encoder and decoder layers of Anchor DETR (Wang et al., AAAI
// 2022), with a layer norm after each residual sum and without dropout.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "model/model_size.h"
#include "model/rcda.h"

namespace cellsam::model {

// Position embeddings of image tokens, D = detector_dim.
struct ImagePosition {
  at::Tensor row;  // [B,1,W,D]: of a token's x, its place in its row
  at::Tensor col;  // [B,H,1,D]: of its y
};

// What queries read of the image tokens [B,H,W,D]: each with its position embedding, averaged over the other axis.
struct ImageKeys {
  at::Tensor row;  // [B,W,D]
  at::Tensor col;  // [B,H,D]
};
ImageKeys image_keys(const at::Tensor& tokens, const ImagePosition& position);

// Position embeddings of queries, that is of their anchor points.
struct QueryPosition {
  at::Tensor plane;  // [B,Q,D]: of x and y together, for attention among queries
  at::Tensor row;    // [B,Q,D]: of x
  at::Tensor col;    // [B,Q,D]: of y
};

// The perceptron of a layer, with its residual and its norm.
class AnchorFfnImpl : public torch::nn::Module {
 public:
  explicit AnchorFfnImpl(const ModelSize& size);
  at::Tensor forward(const at::Tensor& x);  // [...,D] -> [...,D]

 private:
  torch::nn::Linear linear1_{nullptr}, linear2_{nullptr};
  torch::nn::LayerNorm norm2_{nullptr};
};
TORCH_MODULE(AnchorFfn);

// Self-attention among queries, with the parameter names of torch.nn.MultiheadAttention.
class QueryAttentionImpl : public torch::nn::Module {
 public:
  QueryAttentionImpl(std::int64_t dim, std::int64_t heads);

  // query_key [B,Q,D], queries with their positions, is both query and key; value is [B,Q,D], or [B,1,D] where all queries are
  // the same -> the shape of value.
  at::Tensor forward(const at::Tensor& query_key, const at::Tensor& value);

 private:
  std::int64_t heads_;
  at::Tensor in_proj_weight_, in_proj_bias_;  // [3*D,D], [3*D]: query, key, value
  torch::nn::Linear out_proj_{nullptr};
};
TORCH_MODULE(QueryAttention);

// Image tokens attend to each other.
class AnchorEncoderLayerImpl : public torch::nn::Module {
 public:
  explicit AnchorEncoderLayerImpl(const ModelSize& size);

  // tokens [B,H,W,D], padding [B,H,W] bool, true = padded -> [B,H,W,D].
  at::Tensor forward(const at::Tensor& tokens, const ImagePosition& position, const std::optional<at::Tensor>& padding);

 private:
  RowColumnDecoupledAttention self_attn_{nullptr};
  torch::nn::LayerNorm norm1_{nullptr};
  AnchorFfn ffn_{nullptr};
};
TORCH_MODULE(AnchorEncoderLayer);

// Queries attend to each other, then to the image tokens.
class AnchorDecoderLayerImpl : public torch::nn::Module {
 public:
  explicit AnchorDecoderLayerImpl(const ModelSize& size);

  // queries [B,Q,D], or [B,1,D] while all are the same; tokens [B,H,W,D] and their keys, padding [B,H,W] bool, true = padded
  // -> [B,Q,D].
  at::Tensor forward(at::Tensor queries, const QueryPosition& query_position, const at::Tensor& tokens, const ImageKeys& keys,
                     const std::optional<at::Tensor>& padding);

 private:
  RowColumnDecoupledAttention cross_attn_{nullptr};
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr};
  QueryAttention self_attn_{nullptr};
  AnchorFfn ffn_{nullptr};
};
TORCH_MODULE(AnchorDecoderLayer);

}  // namespace cellsam::model
