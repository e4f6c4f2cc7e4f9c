// The encoder and decoder layers of Anchor DETR (Wang et al., AAAI 2022), all post-norm and without dropout.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "model/build.h"
#include "model/rcda.h"

namespace cellsam::model {

// Where queries and cells are, as embeddings that layers add before they attend.
struct CellPosition {
  at::Tensor row;  // [B,1,W,D]: where in its row a cell is (its x)
  at::Tensor col;  // [B,H,1,D]: where in its column (its y)
};
struct QueryPosition {
  at::Tensor plane;  // [1,Q,D]: of x and y together, for attention among queries
  at::Tensor row;    // [1,Q,D]: of x
  at::Tensor col;    // [1,Q,D]: of y
};

// Perceptron with a residual and a norm of its own.
class AnchorFfnImpl : public torch::nn::Module {
 public:
  explicit AnchorFfnImpl(const ModelSize& size);
  at::Tensor forward(const at::Tensor& x);  // [...,D] -> [...,D]

 private:
  torch::nn::Linear linear1_{nullptr}, linear2_{nullptr};
  torch::nn::LayerNorm norm2_{nullptr};
};
TORCH_MODULE(AnchorFfn);

// Attention among queries, with the parameter names of torch.nn.MultiheadAttention.
class QueryAttentionImpl : public torch::nn::Module {
 public:
  QueryAttentionImpl(std::int64_t dim, std::int64_t heads);
  // query = key = placed [B,Q,D]; value [B,Q,D], or [B,1,D] where all queries hold the same -> the shape of value.
  at::Tensor forward(const at::Tensor& placed, const at::Tensor& value);

 private:
  std::int64_t heads_;
  at::Tensor in_proj_weight_, in_proj_bias_;  // [3*D,D], [3*D]: query, key, value
  torch::nn::Linear out_proj_{nullptr};
};
TORCH_MODULE(QueryAttention);

class AnchorEncoderLayerImpl : public torch::nn::Module {
 public:
  explicit AnchorEncoderLayerImpl(const ModelSize& size);
  // cells [B,H,W,D] -> the same shape.
  at::Tensor forward(const at::Tensor& cells, const CellPosition& position, const std::optional<at::Tensor>& padding);

 private:
  RowColumnAttention self_attn_{nullptr};
  torch::nn::LayerNorm norm1_{nullptr};
  AnchorFfn ffn_{nullptr};
};
TORCH_MODULE(AnchorEncoderLayer);

class AnchorDecoderLayerImpl : public torch::nn::Module {
 public:
  explicit AnchorDecoderLayerImpl(const ModelSize& size);
  // queries [B,Q,D], or [B,1,D] while all are the same, look at cells [B,H,W,D] -> [B,Q,D].
  at::Tensor forward(at::Tensor queries, const QueryPosition& query_position, const at::Tensor& cells,
                     const CellPosition& cell_position, const std::optional<at::Tensor>& padding);

 private:
  RowColumnAttention cross_attn_{nullptr};
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr};
  QueryAttention self_attn_{nullptr};
  AnchorFfn ffn_{nullptr};
};
TORCH_MODULE(AnchorDecoderLayer);

}  // namespace cellsam::model
