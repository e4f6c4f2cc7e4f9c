// Row-column attention on a GPU, by the kernels of libcellsam_cuda.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace cellsam::ops {

// fused_row_column() for tensors on a GPU. Nothing where the kernels do not serve: without the library, on a GPU that it holds
// no code for or whose blocks have too little memory, switched off as the CPU's are (kernels::attention::enabled()), for
// float64, for maps of more than 64 rows or columns, and for heads of more than 64 elements or no multiple of four.
std::optional<at::Tensor> cuda_row_column(const at::Tensor& query_row, const at::Tensor& query_col, const at::Tensor& key_row,
                                          const at::Tensor& key_col, const at::Tensor& value, std::int64_t heads,
                                          const std::optional<at::Tensor>& hidden_columns,
                                          const std::optional<at::Tensor>& hidden_rows);

}  // namespace cellsam::ops
