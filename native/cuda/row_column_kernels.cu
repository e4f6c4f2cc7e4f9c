// Row-column attention as one kernel forward and two backward; what they compute stands in row_column.h and row_column_grad.h,
// phase by phase.
#include <cuda_runtime.h>

#include "cuda/can_run.h"
#include "cuda/launch.h"
#include "cuda/row_column.h"
#include "cuda/row_column_grad.h"

namespace cellsam::cuda {
namespace {

extern __shared__ __align__(16) float memory[];

// Phases 1 to 5: both attentions of the block's queries.
__device__ void attention_weights(const RowColumnArguments& a, const RowBlock& block, const RowMemory& m, int thread,
                                  int threads) {
  load_queries(a, block, a.across.query, m.stage, thread, threads);
  __syncthreads();
  score_keys(a, block, a.across, m.stage, m.across, thread, threads);
  __syncthreads();
  load_queries(a, block, a.down.query, m.stage, thread, threads);
  __syncthreads();
  score_keys(a, block, a.down, m.stage, m.down, thread, threads);
  __syncthreads();
  softmax_all(a, m, thread, threads);
  __syncthreads();
}

__global__ void __launch_bounds__(kRowGroups* kRowMax / kRowSide) attend(const RowColumnArguments a) {
  const int thread = static_cast<int>(threadIdx.x);
  const auto block = row_block(a, static_cast<int>(blockIdx.x));
  const auto m = row_memory(a, memory);
  attention_weights(a, block, m, thread, row_threads(a));
  RowSums out;
  for (int h = 0; h < a.down.keys; ++h) {
    load_values(a, block, m, h, thread);
    __syncthreads();
    mix_values(a, m, h, out, thread);
    __syncthreads();
  }
  store_out(a, block, out, thread);
}

__global__ void __launch_bounds__(kRowGradThreads) find_query_grads(const RowColumnArguments a) {
  const int thread = static_cast<int>(threadIdx.x);
  const auto block = row_block(a, static_cast<int>(blockIdx.x));
  const auto m = row_memory(a, memory);
  attention_weights(a, block, m, thread, kRowGradThreads);
  load_queries(a, block, a.out, m.grad, thread, kRowGradThreads);
  RowSums across;
  for (int h = 0; h < a.down.keys; ++h) {
    load_values_transposed(a, block, m, h, thread);
    __syncthreads();
    find_weight_grads(a, m, h, across, thread);
    __syncthreads();
    fold_row(a, block, m, h, thread);
  }
  store_across(a, block, across, thread);
  __syncthreads();
  softmax_all_grads(a, block, m, thread);
  __syncthreads();
  store_query_grads(a, block, a.across, m.across, thread);
  store_query_grads(a, block, a.down, m.down, thread);
}

__global__ void __launch_bounds__(kRowMax / kRowSide * kRowColumns * kRowMax / kRowSide)
    find_key_value_grads(const RowColumnArguments a) {
  const int thread = static_cast<int>(threadIdx.x);
  const auto block = key_value_block(a, static_cast<int>(blockIdx.x));
  const auto m = key_value_memory(memory);
  RowSums sums;
  for (int first = 0; first < a.queries; first += kRowAddends) {
    load_addends(a, block, m, first, thread);
    __syncthreads();
    sum_addends(a, block, m, sums, thread);
    __syncthreads();
  }
  store_key_value_grads(a, block, sums, thread);
}

// More than 48 KiB of shared memory is to be asked for. The limit is one for all threads, so it is set once, to what there is.
template <class Kernel>
bool prepare(Kernel* kernel, int bytes) {
  if (!can_run(kernel)) return false;
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) == cudaSuccess) return true;
  cudaGetLastError();  // or the next launch would seem to have failed
  return false;
}

template <class Kernel>
void launch(Kernel* kernel, int blocks, int threads, std::size_t shared, void* stream, const RowColumnArguments& a) {
  kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), shared, static_cast<cudaStream_t>(stream)>>>(a);
}

}  // namespace

std::size_t prepare_row_column() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  if (cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess) return 0;
  const bool ready = prepare(attend, bytes) && prepare(find_query_grads, bytes) && prepare(find_key_value_grads, bytes);
  return ready ? static_cast<std::size_t>(bytes) : 0;
}

void launch_row_column(const RowColumnArguments& a, void* stream) {
  launch(attend, a.items * a.heads * row_tiles(a), row_threads(a), row_shared_bytes(a, false), stream, a);
}

void launch_row_column_backward(const RowColumnArguments& a, void* stream) {
  launch(find_query_grads, a.items * a.heads * row_tiles(a), kRowGradThreads, row_shared_bytes(a, true), stream, a);
  launch(find_key_value_grads, a.items * a.heads * key_value_parts(a), key_value_threads(a), key_value_shared_bytes(a), stream,
         a);
}

}  // namespace cellsam::cuda
