// Attention of the detector on the CPU: the table of its kernels. Two kinds of attention, row-column (attention_row_column.h)
// and among all (attention_dense.h), where the formulas stand. Queries lie side by side in vector registers, one query a lane,
// so that scores, softmax and sums over keys never cross lanes, and neither a [heads,Q,W,d] nor a [heads,Q,K] tensor exists.
// One source, compiled for AVX2, AVX-512 and AVX-512 with bf16 products; which one runs is decided at run time (isa.h). Called
// by ops/fused_attention.cc.
#pragma once

#include <cstdint>

namespace cellsam::kernels::attention {

// The rows of one head [n,d]: row r begins r * stride elements after `data`. bfloat16 where `bf16`, else float32.
struct Rows {
  void* data = nullptr;
  std::int64_t stride = 0;
  bool bf16 = false;
};

// One batch item and head of row-column attention; every row has `dim` elements, and value[h,w] is row h*W+w.
struct RowColumnJob {
  std::int64_t queries = 0, height = 0, width = 0, dim = 0;
  float scale = 1;
  Rows query_row, query_col, key_row, key_col, value, out;
  Rows out_grad, query_row_grad, query_col_grad, key_row_grad, key_col_grad, value_grad;  // only for the backward functions
  const bool* hidden_columns = nullptr;                                                   // [W], null: all are seen
  const bool* hidden_rows = nullptr;                                                      // [H]
  float* job_scratch = nullptr;  // row_column_job_scratch() floats of this job
};

// One batch item and head of attention among all.
struct DenseJob {
  std::int64_t queries = 0, keys = 0, dim = 0;
  float scale = 1;
  Rows query, key, value, out;
  Rows out_grad, query_grad, key_grad, value_grad;
  float* log_sum = nullptr;      // [Q], written forward, read backward
  float* job_scratch = nullptr;  // dense_job_scratch() floats of this job
};

// job_scratch: floats of one job, which all its calls share; thread_scratch: floats of the calling thread. Calls of one job may
// run side by side, but `pack` comes first, and `row_column_key_value_grads` after all of `row_column_query_grads`. No result
// depends on who computes which part.
struct Kernels {
  std::int64_t block;  // queries of one call

  std::int64_t (*row_column_job_scratch)(const RowColumnJob&, bool backward);  // floats, as the next
  std::int64_t (*row_column_thread_scratch)(const RowColumnJob&);
  void (*row_column_pack)(const RowColumnJob&, bool backward, float* thread_scratch);
  void (*row_column_forward)(const RowColumnJob&, std::int64_t block, float* thread_scratch);
  void (*row_column_query_grads)(const RowColumnJob&, std::int64_t block, float* thread_scratch);
  // column < W: the gradient of that column's values; column == W: of both keys.
  void (*row_column_key_value_grads)(const RowColumnJob&, std::int64_t column, float* thread_scratch);

  std::int64_t (*dense_job_scratch)(const DenseJob&, bool backward);
  std::int64_t (*dense_thread_scratch)(const DenseJob&);
  void (*dense_pack)(const DenseJob&, bool backward, float* thread_scratch);
  void (*dense_forward)(const DenseJob&, std::int64_t block, float* thread_scratch);
  void (*dense_backward)(const DenseJob&, float* thread_scratch);  // a job is one call
};

// Those of the instruction set in use (kernels/isa.h), or null: then the caller keeps to ATen. `bf16`: operands are bfloat16
// (sums stay float32).
const Kernels* kernels(bool bf16);

// Whether new work should go to the kernels; work that they began they also finish. The switch is for tests and benchmarks: on
// at first, unless the environment has CELLSAM_FUSED_ATTENTION=0.
bool enabled();
void set_enabled(bool enabled);

// Keeps this thread to ATen while it exists: who watches torch's operations sees none of the kernels.
class Pause {
 public:
  Pause();
  ~Pause();
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;
};

}  // namespace cellsam::kernels::attention
