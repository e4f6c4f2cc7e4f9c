// Row-column decoupled attention (Anchor DETR, Wang et al., AAAI 2022): a query attends to columns and to rows separately, and
// the product of both is its attention over the map, so the scores cost H + W per query instead of H * W.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "model/taps.h"

namespace cellsam::model {

class RowColumnAttentionImpl : public torch::nn::Module {
 public:
  // `local`: the query and key projections of each axis start equal and orthogonal (times `gain`).
  RowColumnAttentionImpl(std::int64_t dim, std::int64_t heads, bool local = false, double gain = 1.0);

  // query_row, query_col [B,Q,E]; key_row, key_col, value [B,H,W,E]; padding [B,H,W] bool, true = padded -> [B,Q,E].
  // Row keys are means over H and column keys means over W, padded cells included, as the weights were trained. A query
  // attends to no column whose first cell is padded, and to no row whose first cell is.
  at::Tensor forward(const at::Tensor& query_row, const at::Tensor& query_col, const at::Tensor& key_row,
                     const at::Tensor& key_col, const at::Tensor& value, const std::optional<at::Tensor>& padding,
                     Taps* taps = nullptr);

 private:
  std::int64_t heads_;
  at::Tensor in_proj_weight_, in_proj_bias_;  // [5*E,E], [5*E]: query_row, query_col, key_row, key_col, value
  torch::nn::Linear out_proj_{nullptr};
};
TORCH_MODULE(RowColumnAttention);

}  // namespace cellsam::model
