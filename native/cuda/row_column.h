// Row-column decoupled attention (Wang et al., Anchor DETR, AAAI 2022) on a GPU:
//   out[q] = sum over h of A^y[q,h] * (sum over w of A^x[q,w] * value[h,w])         docs/math.md section 4, (4.1)
// A block keeps both attentions of a few queries of one head in shared memory while the values pass by, row by row, so no
// [heads,Q,H,d] tensor exists. Sums are float32 in a fixed order, so equal inputs give equal bits. `across` belongs to A^x
// (over the columns w), `down` to A^y (over the rows h). Gradients: row_column_grad.h. Called through the operators by
// ops/cuda_row_column.cc.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/portable.h"

namespace cellsam::cuda {

// The operators in the namespace cellsam_cuda. query_row, query_col [B,Q,E]; key_row [B,W,E], key_col [B,H,E]; value [B,H,W,E];
// hidden_columns [B,W], hidden_rows [B,H] bool, true = not seen -> [B,Q,E]; all of one precision, float32 or bfloat16. Heads
// lie side by side in E. H, W and a head's elements are at most kRowMax, and a head's elements a multiple of four. Backward
// takes the gradient of the result and gives those of the first five.
constexpr const char* kRowColumnSchema =
    "row_column(Tensor query_row, Tensor query_col, Tensor key_row, Tensor key_col, Tensor value, int heads, "
    "Tensor? hidden_columns, Tensor? hidden_rows) -> Tensor";
constexpr const char* kRowColumnBackwardSchema =
    "row_column_backward(Tensor gradient, Tensor query_row, Tensor query_col, Tensor key_row, Tensor key_col, Tensor value, "
    "int heads, Tensor? hidden_columns, Tensor? hidden_rows) -> (Tensor, Tensor, Tensor, Tensor, Tensor)";
// Whether a device can run both for maps [H,W] and heads of `dim` elements: the library holds code for it, and a block fits.
constexpr const char* kRowColumnUsableSchema = "row_column_usable(int device, int height, int width, int dim) -> bool";

constexpr int kRowMax = 64;                 // rows, columns, and elements of a head
constexpr int kRowSide = 4;                 // a thread sums squares of this side
constexpr int kRowQueries = 64;             // of a block
constexpr int kRowPitch = kRowQueries + 4;  // of what is transposed on its way to shared memory: fewer banks in common
constexpr int kRowGroups = kRowQueries / kRowSide;

// Numbers of float32, or of bfloat16 where `bf16`.
struct Elements {
  void* data = nullptr;
  bool bf16 = false;
};

CELLSAM_HD float load(const Elements& from, std::size_t i) {
  if (!from.bf16) return static_cast<const float*>(from.data)[i];
  const auto bits = static_cast<std::uint32_t>(static_cast<const std::uint16_t*>(from.data)[i]) << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// To the nearest, ties to even, as torch rounds.
CELLSAM_HD void store(const Elements& to, std::size_t i, float value) {
  if (!to.bf16) {
    static_cast<float*>(to.data)[i] = value;
    return;
  }
  std::uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const auto rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  static_cast<std::uint16_t*>(to.data)[i] = static_cast<std::uint16_t>(value != value ? 0x7FC0 : rounded);
}

struct alignas(16) Four {
  float at[kRowSide];
};

CELLSAM_HD Four four_at(const float* from) { return *reinterpret_cast<const Four*>(from); }

// What a thread adds up between phases: [4,4].
struct RowSums {
  float at[kRowSide][kRowSide] = {};

  // Adds one product of the two sides.
  CELLSAM_HD void add(const Four& left, const Four& right) {
    for (int i = 0; i < kRowSide; ++i)
      for (int j = 0; j < kRowSide; ++j) at[i][j] += left.at[i] * right.at[j];
  }
};

// One of the two attentions: over the columns or over the rows.
struct RowAxis {
  int keys = 0;
  Elements query, key;                              // [B,Q,E], [B,keys,E]
  const bool* hidden = nullptr;                     // [B,keys], null: all are seen
  Elements query_grad, key_grad;                    // like query and key
  float *weight = nullptr, *weight_grad = nullptr;  // [B,heads,keys,Q], from the first backward kernel to the second
};

struct RowColumnArguments {
  int items = 0, queries = 0, heads = 0, dim = 0;  // dim: of a head
  float scale = 1;
  RowAxis across, down;  // keys: W, H
  Elements value;        // [B,H,W,E]
  Elements out;          // [B,Q,E]; on the way back its gradient
  Elements value_grad;   // like value
};

CELLSAM_HD int whole_fours(int n) { return (n + kRowSide - 1) / kRowSide * kRowSide; }

// What a block of queries works on.
struct RowBlock {
  int item, head, first;
};

CELLSAM_HD int row_tiles(const RowColumnArguments& a) { return (a.queries + kRowQueries - 1) / kRowQueries; }

CELLSAM_HD RowBlock row_block(const RowColumnArguments& a, int block) {
  const int tiles = row_tiles(a);
  return {block / tiles / a.heads, block / tiles % a.heads, block % tiles * kRowQueries};
}

// The first element of a head's row in [B,n,E].
CELLSAM_HD std::size_t row_at(const RowColumnArguments& a, const RowBlock& b, int n, int row) {
  return ((static_cast<std::size_t>(b.item) * n + row) * a.heads + b.head) * a.dim;
}

// A block's memory. Padding keys have weight 0, and queries past the last one count as zeros.
struct RowMemory {
  float *across, *down;  // [W in fours,kRowQueries], [H in fours,kRowQueries]: scores, then weights
  float* stage;          // queries [dim,kRowPitch]; then a row of values, [W,dim] or on the way back [dim,kRowPitch]
  float* grad;           // of the output, [dim,kRowPitch]; only on the way back
  float* partial;        // [kRowMax / 4,kRowQueries]: parts of the gradient of a row's weight; likewise
};

CELLSAM_HD std::size_t row_shared_bytes(const RowColumnArguments& a, bool backward) {
  const int weights = (whole_fours(a.across.keys) + whole_fours(a.down.keys)) * kRowQueries;
  const int backward_only = backward ? a.dim * kRowPitch + kRowMax / kRowSide * kRowQueries : 0;
  return sizeof(float) * (static_cast<std::size_t>(weights) + a.dim * kRowPitch + backward_only);
}

CELLSAM_HD RowMemory row_memory(const RowColumnArguments& a, float* memory) {
  RowMemory m;
  m.across = memory;
  m.down = m.across + whole_fours(a.across.keys) * kRowQueries;
  m.stage = m.down + whole_fours(a.down.keys) * kRowQueries;
  m.grad = m.stage + a.dim * kRowPitch;
  m.partial = m.grad + a.dim * kRowPitch;
  return m;
}

// Phases 1 and 3: the block's rows of [B,Q,E], transposed.
CELLSAM_HD void load_queries(const RowColumnArguments& a, const RowBlock& b, const Elements& from, float* to, int thread,
                             int threads) {
  for (int i = thread; i < kRowQueries * a.dim; i += threads) {
    const int q = i / a.dim, e = i % a.dim, query = b.first + q;
    to[e * kRowPitch + q] = query < a.queries ? load(from, row_at(a, b, a.queries, query) + e) : 0;
  }
}

// Phases 2 and 4.
CELLSAM_HD void score_keys(const RowColumnArguments& a, const RowBlock& b, const RowAxis& axis, const float* queries,
                           float* scores, int thread, int threads) {
  for (int tile = thread; tile < whole_fours(axis.keys) / kRowSide * kRowGroups; tile += threads) {
    const int q = tile % kRowGroups * kRowSide, first = tile / kRowGroups * kRowSide;
    std::size_t from[kRowSide];
    for (int j = 0; j < kRowSide; ++j) from[j] = row_at(a, b, axis.keys, first + j < axis.keys ? first + j : axis.keys - 1);
    RowSums sums;
    for (int e = 0; e < a.dim; ++e) {
      Four key;
      for (int j = 0; j < kRowSide; ++j) key.at[j] = load(axis.key, from[j] + e);
      sums.add(four_at(queries + e * kRowPitch + q), key);
    }
    for (int j = 0; j < kRowSide && first + j < axis.keys; ++j) {
      const bool hidden = axis.hidden != nullptr && axis.hidden[static_cast<std::size_t>(b.item) * axis.keys + first + j];
      for (int i = 0; i < kRowSide; ++i)
        scores[(first + j) * kRowQueries + q + i] = hidden ? -INFINITY : sums.at[i][j] * a.scale;
    }
  }
}

// Where all keys are hidden or a score is not a number the weights are not numbers, as torch has it.
CELLSAM_HD void softmax(float* scores, int keys) {
  float top = -INFINITY, sum = 0;
  for (int k = 0; k < keys; ++k) top = fmaxf(top, scores[k * kRowQueries]);
  for (int k = 0; k < keys; ++k) sum += scores[k * kRowQueries] = expf(scores[k * kRowQueries] - top);
  for (int k = 0; k < keys; ++k) scores[k * kRowQueries] /= sum;
  for (int k = keys; k < whole_fours(keys); ++k) scores[k * kRowQueries] = 0;
}

// Phase 5: a thread for each query and attention.
CELLSAM_HD void softmax_all(const RowColumnArguments& a, const RowMemory& m, int thread, int threads) {
  for (int i = thread; i < 2 * kRowQueries; i += threads) {
    if (i < kRowQueries) {
      softmax(m.across + i, a.across.keys);
    } else {
      softmax(m.down + i - kRowQueries, a.down.keys);
    }
  }
}

// The threads of a block forward: each has a square of queries and elements.
CELLSAM_HD int row_threads(const RowColumnArguments& a) { return kRowGroups * a.dim / kRowSide; }

// Phases 6 and 7 for each row h: its values, and what they add to the output.
CELLSAM_HD void load_values(const RowColumnArguments& a, const RowBlock& b, const RowMemory& m, int h, int thread) {
  const int width = a.across.keys;
  for (int i = thread; i < width * a.dim; i += row_threads(a))
    m.stage[i] = load(a.value, row_at(a, b, a.down.keys * width, h * width + i / a.dim) + i % a.dim);
}

CELLSAM_HD void mix_values(const RowColumnArguments& a, const RowMemory& m, int h, RowSums& out, int thread) {
  const int groups = a.dim / kRowSide, q = thread / groups * kRowSide, e = thread % groups * kRowSide;
  RowSums line;
  for (int w = 0; w < a.across.keys; ++w) line.add(four_at(m.across + w * kRowQueries + q), four_at(m.stage + w * a.dim + e));
  const auto down = four_at(m.down + h * kRowQueries + q);
  for (int i = 0; i < kRowSide; ++i)
    for (int j = 0; j < kRowSide; ++j) out.at[i][j] += down.at[i] * line.at[i][j];
}

// Queries q to q + 3 of the block, elements e to e + 3, to [B,Q,E].
CELLSAM_HD void store_queries(const RowColumnArguments& a, const RowBlock& b, const RowSums& sums, const Elements& to, int q,
                              int e) {
  for (int i = 0; i < kRowSide && b.first + q + i < a.queries; ++i) {
    const auto at = row_at(a, b, a.queries, b.first + q + i) + e;
    for (int j = 0; j < kRowSide; ++j) store(to, at + j, sums.at[i][j]);
  }
}

// Phase 8.
CELLSAM_HD void store_out(const RowColumnArguments& a, const RowBlock& b, const RowSums& out, int thread) {
  const int groups = a.dim / kRowSide;
  store_queries(a, b, out, a.out, thread / groups * kRowSide, thread % groups * kRowSide);
}

}  // namespace cellsam::cuda
