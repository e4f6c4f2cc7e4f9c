#include "ops/cuda_row_column.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>

#include "base/cuda_operator.h"
#include "kernels/attention_kernels.h"

namespace cellsam::ops {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using Forward = Tensor(const Tensor& query_row, const Tensor& query_col, const Tensor& key_row, const Tensor& key_col,
                       const Tensor& value, std::int64_t heads, const std::optional<Tensor>& hidden_columns,
                       const std::optional<Tensor>& hidden_rows);
using Backward = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>(const Tensor& gradient, const Tensor& query_row,
                                                                    const Tensor& query_col, const Tensor& key_row,
                                                                    const Tensor& key_col, const Tensor& value,
                                                                    std::int64_t heads,
                                                                    const std::optional<Tensor>& hidden_columns,
                                                                    const std::optional<Tensor>& hidden_rows);
using Usable = bool(std::int64_t device, std::int64_t height, std::int64_t width, std::int64_t dim);

constexpr std::int64_t kMax = 64, kMultiple = 4;  // kRowMax and kRowSide of native/cuda/row_column.h

const auto& forward_kernel() {
  static const auto kernel = cuda_operator<Forward>("row_column");
  return kernel;
}

const auto& backward_kernel() {
  static const auto kernel = cuda_operator<Backward>("row_column_backward");
  return kernel;
}

bool serves(const Tensor& value, std::int64_t heads) {
  static const auto usable = cuda_operator<Usable>("row_column_usable");
  const auto type = value.scalar_type();
  const auto height = value.size(1), width = value.size(2), dim = value.size(3) / heads;
  return kernels::attention::enabled() && (type == at::kFloat || type == at::kBFloat16) && height <= kMax && width <= kMax &&
         dim <= kMax && dim % kMultiple == 0 && forward_kernel() && backward_kernel() && usable &&
         usable->call(value.device().index(), height, width, dim);
}

std::optional<Tensor> if_given(const Tensor& x) { return x.defined() ? std::optional(x) : std::nullopt; }

// Saves its inputs alone, like the CPU's; backward computes the attention again.
class CudaRowColumn : public torch::autograd::Function<CudaRowColumn> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& query_row, const Tensor& query_col, const Tensor& key_row,
                        const Tensor& key_col, const Tensor& value, std::int64_t heads, const std::optional<Tensor>& columns,
                        const std::optional<Tensor>& rows) {
    context->saved_data["heads"] = heads;
    context->save_for_backward(
        {query_row, query_col, key_row, key_col, value, columns.value_or(Tensor()), rows.value_or(Tensor())});
    return forward_kernel()->call(query_row, query_col, key_row, key_col, value, heads, columns, rows);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto heads = context->saved_data["heads"].toInt();
    const auto [query_row, query_col, key_row, key_col, value] = backward_kernel()->call(
        gradients[0], saved[0], saved[1], saved[2], saved[3], saved[4], heads, if_given(saved[5]), if_given(saved[6]));
    return {query_row, query_col, key_row, key_col, value, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

std::optional<Tensor> cuda_row_column(const Tensor& query_row, const Tensor& query_col, const Tensor& key_row,
                                      const Tensor& key_col, const Tensor& value, std::int64_t heads,
                                      const std::optional<Tensor>& hidden_columns, const std::optional<Tensor>& hidden_rows) {
  if (!serves(value, heads)) return std::nullopt;
  return CudaRowColumn::apply(query_row, query_col, key_row, key_col, value, heads, hidden_columns, hidden_rows);
}

}  // namespace cellsam::ops
