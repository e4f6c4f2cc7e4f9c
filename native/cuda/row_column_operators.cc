// The operators cellsam_cuda::row_column and row_column_backward: check tensors and start the kernels on the current stream.
#include "cuda/row_column.h"

#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <torch/library.h>

#include "cuda/launch.h"
#include "cuda/per_device.h"
#include "cuda/row_column_grad.h"
#include "cuda/row_column_tensors.h"

namespace cellsam::cuda {
namespace {

void start(const RowColumnTensors& tensors, void (*launch)(const RowColumnArguments&, void*)) {
  if (tensors.empty()) return;
  launch(tensors.arguments, c10::cuda::getCurrentCUDAStream(tensors.value.device().index()).stream());
  const auto error = cudaGetLastError();
  TORCH_CHECK(error == cudaSuccess, "row_column: ", cudaGetErrorString(error));
}

// See kRowColumnUsableSchema.
bool row_column_usable(std::int64_t device, std::int64_t height, std::int64_t width, std::int64_t dim) {
  static PerDevice<std::size_t> shared;
  return most_shared_bytes(height, width, dim) <= shared.get(device, prepare_row_column);
}

// See kRowColumnSchema.
at::Tensor row_column(const at::Tensor& query_row, const at::Tensor& query_col, const at::Tensor& key_row,
                      const at::Tensor& key_col, const at::Tensor& value, std::int64_t heads,
                      const std::optional<at::Tensor>& hidden_columns, const std::optional<at::Tensor>& hidden_rows) {
  const at::DeviceGuard guard(value.device());
  const auto tensors =
      row_column_tensors(nullptr, query_row, query_col, key_row, key_col, value, heads, hidden_columns, hidden_rows);
  start(tensors, launch_row_column);
  return tensors.out;
}

// See kRowColumnBackwardSchema.
RowColumnGrads row_column_backward(const at::Tensor& gradient, const at::Tensor& query_row, const at::Tensor& query_col,
                                   const at::Tensor& key_row, const at::Tensor& key_col, const at::Tensor& value,
                                   std::int64_t heads, const std::optional<at::Tensor>& hidden_columns,
                                   const std::optional<at::Tensor>& hidden_rows) {
  const at::DeviceGuard guard(value.device());
  const auto tensors =
      row_column_tensors(&gradient, query_row, query_col, key_row, key_col, value, heads, hidden_columns, hidden_rows);
  start(tensors, launch_row_column_backward);
  return grads_of(tensors);
}

}  // namespace
}  // namespace cellsam::cuda

TORCH_LIBRARY_FRAGMENT(cellsam_cuda, library) {
  library.def(cellsam::cuda::kRowColumnSchema);
  library.def(cellsam::cuda::kRowColumnBackwardSchema);
  library.def(cellsam::cuda::kRowColumnUsableSchema, TORCH_FN(cellsam::cuda::row_column_usable));
}

TORCH_LIBRARY_IMPL(cellsam_cuda, CUDA, library) {
  library.impl("row_column", TORCH_FN(cellsam::cuda::row_column));
  library.impl("row_column_backward", TORCH_FN(cellsam::cuda::row_column_backward));
}
