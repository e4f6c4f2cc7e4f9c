// The arguments of the row-column kernels from tensors. Apart from the operators, so that a test without a GPU fills them
// alike.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <optional>
#include <tuple>

#include "cuda/row_column.h"

namespace cellsam::cuda {

// Owns what the arguments point to.
struct RowColumnTensors {
  at::Tensor query_row, query_col, key_row, key_col, value, hidden_columns, hidden_rows;
  at::Tensor out;                                                                     // the result, or its gradient
  at::Tensor query_row_grad, query_col_grad, key_row_grad, key_col_grad, value_grad;  // backward only, and the scratch below
  at::Tensor across_weight, across_weight_grad, down_weight, down_weight_grad;        // f32 [B,heads,keys,Q]
  RowColumnArguments arguments;

  bool empty() const { return out.numel() == 0; }
};

// `gradient`: of the result, backward; null forward.
inline RowColumnTensors row_column_tensors(const at::Tensor* gradient, const at::Tensor& query_row, const at::Tensor& query_col,
                                           const at::Tensor& key_row, const at::Tensor& key_col, const at::Tensor& value,
                                           std::int64_t heads, const std::optional<at::Tensor>& hidden_columns,
                                           const std::optional<at::Tensor>& hidden_rows) {
  const auto type = value.scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16, "row_column: float32 or bfloat16 is needed, got ", type);
  TORCH_CHECK(value.dim() == 4 && heads > 0 && value.size(3) % heads == 0, "row_column: value must be [B,H,W,E], got ",
              value.sizes());
  const auto items = value.size(0), height = value.size(1), width = value.size(2), dim = value.size(3) / heads;
  TORCH_CHECK(
      height >= 1 && height <= kRowMax && width >= 1 && width <= kRowMax && dim >= 1 && dim <= kRowMax && dim % kRowSide == 0,
      "row_column: no kernel for values ", value.sizes(), " of ", heads, " heads");
  const auto queries = query_row.size(1);
  const auto plain = [&](const at::Tensor& x, std::int64_t rows) {
    TORCH_CHECK(
        x.sizes() == at::IntArrayRef({items, rows, value.size(3)}) && x.scalar_type() == type && x.device() == value.device(),
        "row_column: ", x.scalar_type(), " ", x.sizes(), " does not fit values ", value.sizes());
    return x.contiguous();
  };
  const auto flags = [&](const std::optional<at::Tensor>& hidden, std::int64_t keys) {
    if (!hidden) return at::Tensor();
    TORCH_CHECK(hidden->sizes() == at::IntArrayRef({items, keys}) && hidden->scalar_type() == at::kBool &&
                    hidden->device() == value.device(),
                "row_column: hidden keys must be bool [B,", keys, "]");
    return hidden->contiguous();
  };
  RowColumnTensors t;
  t.query_row = plain(query_row, queries), t.query_col = plain(query_col, queries);
  t.key_row = plain(key_row, width), t.key_col = plain(key_col, height);
  t.value = value.contiguous();
  t.hidden_columns = flags(hidden_columns, width), t.hidden_rows = flags(hidden_rows, height);
  t.out = gradient == nullptr ? at::empty_like(t.query_row) : plain(*gradient, queries);

  const auto elements = [&](const at::Tensor& x) { return Elements{x.data_ptr(), type == at::kBFloat16}; };
  auto& a = t.arguments;
  a.items = static_cast<int>(items), a.queries = static_cast<int>(queries);
  a.heads = static_cast<int>(heads), a.dim = static_cast<int>(dim);
  a.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(dim)));
  a.across.keys = static_cast<int>(width), a.down.keys = static_cast<int>(height);
  a.across.query = elements(t.query_row), a.down.query = elements(t.query_col);
  a.across.key = elements(t.key_row), a.down.key = elements(t.key_col);
  a.value = elements(t.value), a.out = elements(t.out);
  if (hidden_columns) a.across.hidden = t.hidden_columns.const_data_ptr<bool>();
  if (hidden_rows) a.down.hidden = t.hidden_rows.const_data_ptr<bool>();
  if (gradient == nullptr) return t;

  // Without a query or an item no kernel runs.
  const auto like = [&](const at::Tensor& x) { return t.empty() ? at::zeros_like(x) : at::empty_like(x); };
  t.query_row_grad = like(t.query_row), t.query_col_grad = like(t.query_col);
  t.key_row_grad = like(t.key_row), t.key_col_grad = like(t.key_col), t.value_grad = like(t.value);
  a.across.query_grad = elements(t.query_row_grad), a.down.query_grad = elements(t.query_col_grad);
  a.across.key_grad = elements(t.key_row_grad), a.down.key_grad = elements(t.key_col_grad);
  a.value_grad = elements(t.value_grad);
  const auto scratch = [&](at::Tensor& to, std::int64_t keys) {
    to = at::empty({items, heads, keys, queries}, value.options().dtype(at::kFloat));
    return to.data_ptr<float>();
  };
  a.across.weight = scratch(t.across_weight, width), a.across.weight_grad = scratch(t.across_weight_grad, width);
  a.down.weight = scratch(t.down_weight, height), a.down.weight_grad = scratch(t.down_weight_grad, height);
  return t;
}

using RowColumnGrads = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;

inline RowColumnGrads grads_of(const RowColumnTensors& t) {
  return {t.query_row_grad, t.query_col_grad, t.key_row_grad, t.key_col_grad, t.value_grad};
}

}  // namespace cellsam::cuda
