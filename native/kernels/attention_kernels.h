// Attention kernels of the detector for the CPU: queries lie side by side in the lanes of vector registers, so scores,
// softmax and sums over keys never cross lanes, and neither a [heads,Q,W,e] nor a [heads,Q,K] tensor exists.
// One source (lane_*.h), compiled once per instruction set; which of them runs is decided here at run time.
#pragma once

#include <cstdint>

namespace cellsam::kernels::lanes {

// The rows of one head: row r begins r * stride elements after `data`. bfloat16 where `half`, else float32.
struct Rows {
  void* data = nullptr;
  std::int64_t stride = 0;
  bool half = false;
};

// One batch item and head of row-column attention; every row has `dim` elements.
// out[q] = sum over h and w of softmax(scale * query_col[q].key_col)[h] * softmax(scale * query_row[q].key_row)[w] *
// value[h*W+w]
struct RowColumnJob {
  std::int64_t queries = 0, height = 0, width = 0, dim = 0;
  float scale = 1;
  Rows query_row, query_col, key_row, key_col, value, out;
  Rows out_grad, query_row_grad, query_col_grad, key_row_grad, key_col_grad, value_grad;  // only for the backward functions
  const bool* hidden_columns = nullptr;                                                   // [W], null: all are seen
  const bool* hidden_rows = nullptr;                                                      // [H]
  float* shared = nullptr;  // row_column_shared() floats of this job
};

// One batch item and head of plain attention: out[q] = sum over k of softmax(scale * query[q].key)[k] * value[k].
struct DenseJob {
  std::int64_t queries = 0, keys = 0, dim = 0;
  float scale = 1;
  Rows query, key, value, out;
  Rows out_grad, query_grad, key_grad, value_grad;
  float* log_sum = nullptr;  // [Q], written forward, read backward
  float* shared = nullptr;   // dense_shared() floats of this job
};

// `own` is scratch of the calling thread. Functions of one job may run side by side; `pack` comes first, and
// `row_column_cells` after all of `row_column_queries`. No result depends on who computes which part.
struct Kernels {
  std::int64_t block;  // queries that one call takes

  std::int64_t (*row_column_shared)(const RowColumnJob&, bool backward);
  std::int64_t (*row_column_own)(const RowColumnJob&);
  void (*row_column_pack)(const RowColumnJob&, bool backward, float* own);
  void (*row_column_forward)(const RowColumnJob&, std::int64_t block, float* own);
  void (*row_column_queries)(const RowColumnJob&, std::int64_t block, float* own);  // gradients of the queries
  void (*row_column_cells)(const RowColumnJob&, std::int64_t column, float* own);   // of one column's values; W: of the keys

  std::int64_t (*dense_shared)(const DenseJob&, bool backward);
  std::int64_t (*dense_own)(const DenseJob&);
  void (*dense_pack)(const DenseJob&, bool backward, float* own);
  void (*dense_forward)(const DenseJob&, std::int64_t block, float* own);
  void (*dense_backward)(const DenseJob&, float* own);
};

// Those of the instruction set in use (kernels/isa.h), or null: then the caller keeps to ATen. `half`: operands are bfloat16
// (sums stay float32).
const Kernels* kernels(bool half);

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

}  // namespace cellsam::kernels::lanes
