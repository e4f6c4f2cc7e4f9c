// Row-column decoupled attention (RCDA) of Anchor DETR (Wang et al., AAAI 2022): a query attends to the columns and to the rows
// of a map separately. Its attention to a position is the product of both, so that it takes H + W scores instead of H * W.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "model/activations.h"

namespace cellsam::model {

class RowColumnDecoupledAttentionImpl : public torch::nn::Module {
 public:
  // local: see attention_init.h; each axis has its own orthogonal matrix.
  RowColumnDecoupledAttentionImpl(std::int64_t dim, std::int64_t heads, bool local = false, double gain = 1.0);

  // query_row, query_col [B,Q,E]; key_row, key_col, value [B,H,W,E]; padding [B,H,W] bool, true = padded -> [B,Q,E]:
  //   A_row = softmax(query_row . mean over H of key_row)   [B,heads,Q,W], where in a row
  //   A_col = softmax(query_col . mean over W of key_col)   [B,heads,Q,H], which row
  //   out = sum over h, w of A_col[h] A_row[w] value[h,w]
  // all behind projections, the scores divided by sqrt(E / heads). The means count padded tokens, as the published weights were
  // trained. No query attends to a column or row whose first token is padded. activations: "weights" [B,Q,H,W].
  at::Tensor forward(const at::Tensor& query_row, const at::Tensor& query_col, const at::Tensor& key_row,
                     const at::Tensor& key_col, const at::Tensor& value, const std::optional<at::Tensor>& padding,
                     Activations* activations = nullptr);

  // The same from keys that are averaged already: mean_key_row [B,W,E], over H, and mean_key_col [B,H,E], over W.
  at::Tensor attend(const at::Tensor& query_row, const at::Tensor& query_col, const at::Tensor& mean_key_row,
                    const at::Tensor& mean_key_col, const at::Tensor& value, const std::optional<at::Tensor>& padding,
                    Activations* activations = nullptr);

 private:
  std::int64_t heads_;
  at::Tensor in_proj_weight_, in_proj_bias_;  // [5*E,E], [5*E]: query_row, query_col, key_row, key_col, value
  torch::nn::Linear out_proj_{nullptr};
};
TORCH_MODULE(RowColumnDecoupledAttention);

}  // namespace cellsam::model
