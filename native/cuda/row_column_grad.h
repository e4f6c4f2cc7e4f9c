// The gradients of row-column attention, docs/math.md (4.2) and (4.3), as two kernels that compute the attention again: a block
// for a few queries finds what belongs to these and leaves its weights and the gradients of their scores behind; then a block
// for a pair of columns, or for one kind of key, sums those over all queries, in their order. s[h,w] = gradient . value[h,w],
// summed with the one attention, is the gradient of the other.
#pragma once

#include "cuda/row_column.h"

namespace cellsam::cuda {

constexpr int kRowGradThreads = kRowGroups * kRowMax / kRowSide;  // of the first kernel: squares of queries and columns
constexpr int kRowColumns = 2;                                    // of a block of the second kernel
constexpr int kRowAddends = 32;                                   // queries that it holds at a time

// The first kernel begins as forward does: phases 1 to 5. Then the block's rows of the gradient go to m.grad by load_queries(),
// and for each row h come its values, transposed ...
CELLSAM_HD void load_values_transposed(const RowColumnArguments& a, const RowBlock& b, const RowMemory& m, int h, int thread) {
  const int width = a.across.keys;
  for (int i = thread; i < whole_fours(width) * a.dim; i += kRowGradThreads) {
    const int w = i / a.dim, e = i % a.dim;
    m.stage[e * kRowPitch + w] = w < width ? load(a.value, row_at(a, b, a.down.keys * width, h * width + w) + e) : 0;
  }
}

// ... and s: to the sums of a thread, the gradients of its columns' weights, and in parts to that of the row's weight.
CELLSAM_HD void find_weight_grads(const RowColumnArguments& a, const RowMemory& m, int h, RowSums& across, int thread) {
  const int q = thread % kRowGroups * kRowSide, group = thread / kRowGroups, w = group * kRowSide;
  if (w >= a.across.keys) return;
  RowSums s;
  for (int e = 0; e < a.dim; ++e) s.add(four_at(m.grad + e * kRowPitch + q), four_at(m.stage + e * kRowPitch + w));
  const auto down = four_at(m.down + h * kRowQueries + q);
  float row[kRowSide] = {};
  for (int j = 0; j < kRowSide; ++j) {
    const auto weight = four_at(m.across + (w + j) * kRowQueries + q);
    for (int i = 0; i < kRowSide; ++i) {
      across.at[i][j] += down.at[i] * s.at[i][j];
      row[i] += weight.at[i] * s.at[i][j];
    }
  }
  for (int i = 0; i < kRowSide; ++i) m.partial[group * kRowQueries + q + i] = row[i];
}

// The weights of a head for key k: [Q].
CELLSAM_HD float* weights_at(const RowColumnArguments& a, const RowBlock& b, const RowAxis& axis, float* of, int k) {
  return of + ((static_cast<std::size_t>(b.item) * a.heads + b.head) * axis.keys + k) * a.queries;
}

// The parts of row h become one; beside the loading of row h + 1.
CELLSAM_HD void fold_row(const RowColumnArguments& a, const RowBlock& b, const RowMemory& m, int h, int thread) {
  if (thread >= kRowQueries || b.first + thread >= a.queries) return;
  float sum = 0;
  for (int group = 0; group * kRowSide < a.across.keys; ++group) sum += m.partial[group * kRowQueries + thread];
  weights_at(a, b, a.down, a.down.weight_grad, h)[b.first + thread] = sum;
}

CELLSAM_HD void store_across(const RowColumnArguments& a, const RowBlock& b, const RowSums& across, int thread) {
  const int q = thread % kRowGroups * kRowSide, w = thread / kRowGroups * kRowSide;
  for (int j = 0; j < kRowSide && w + j < a.across.keys; ++j) {
    auto* to = weights_at(a, b, a.across, a.across.weight_grad, w + j) + b.first;
    for (int i = 0; i < kRowSide && b.first + q + i < a.queries; ++i) to[q + i] = across.at[i][j];
  }
}

// Gradients of one query's weights become those of its scores, also in shared memory; the weights are stored.
CELLSAM_HD void softmax_grads(const RowColumnArguments& a, const RowBlock& b, const RowAxis& axis, float* weights, int q) {
  const auto step = static_cast<std::size_t>(a.queries);
  const bool counts = b.first + q < a.queries;
  auto *weight = weights_at(a, b, axis, axis.weight, 0) + b.first + q,
       *grad = weights_at(a, b, axis, axis.weight_grad, 0) + b.first + q;
  float sum = 0;
  for (int k = 0; counts && k < axis.keys; ++k) sum += weights[k * kRowQueries + q] * grad[k * step];
  for (int k = 0; k < axis.keys; ++k) {
    auto& here = weights[k * kRowQueries + q];
    if (counts) weight[k * step] = here;
    here = counts ? here * (grad[k * step] - sum) * a.scale : 0;
    if (counts) grad[k * step] = here;
  }
}

CELLSAM_HD void softmax_all_grads(const RowColumnArguments& a, const RowBlock& b, const RowMemory& m, int thread) {
  if (thread < kRowQueries) {
    softmax_grads(a, b, a.across, m.across, thread);
  } else if (thread < 2 * kRowQueries) {
    softmax_grads(a, b, a.down, m.down, thread - kRowQueries);
  }
}

// The last phase of the first kernel, for each attention.
CELLSAM_HD void store_query_grads(const RowColumnArguments& a, const RowBlock& b, const RowAxis& axis, const float* scores,
                                  int thread) {
  for (int tile = thread; tile < kRowGroups * a.dim / kRowSide; tile += kRowGradThreads) {
    const int groups = a.dim / kRowSide, q = tile / groups * kRowSide, e = tile % groups * kRowSide;
    RowSums sums;
    for (int k = 0; k < axis.keys; ++k) {
      Four key;
      for (int j = 0; j < kRowSide; ++j) key.at[j] = load(axis.key, row_at(a, b, axis.keys, k) + e + j);
      sums.add(four_at(scores + k * kRowQueries + q), key);
    }
    store_queries(a, b, sums, axis.query_grad, q, e);
  }
}

// What a block of the second kernel works on: part 0 and 1 are the keys, the others columns. They come first, so that the
// longest wait is not the last.
struct KeyValueBlock {
  RowBlock at;
  int part;
};

CELLSAM_HD int key_value_parts(const RowColumnArguments& a) { return 2 + (a.across.keys + kRowColumns - 1) / kRowColumns; }

CELLSAM_HD KeyValueBlock key_value_block(const RowColumnArguments& a, int block) {
  const int heads = a.items * a.heads;
  return {{block % heads / a.heads, block % heads % a.heads, 0}, block / heads};
}

CELLSAM_HD int key_value_threads(const RowColumnArguments& a) { return kRowMax / kRowSide * kRowColumns * a.dim / kRowSide; }

struct KeyValueMemory {
  float*
      left;  // [kRowAddends,kRowPitch]: the weights of the queries, or the gradients of their scores, key by key or row by row
  float* right;  // [kRowAddends,kRowColumns * dim]: queries, or the gradient times the weight of each column
};

CELLSAM_HD std::size_t key_value_shared_bytes(const RowColumnArguments& a) {
  return sizeof(float) * kRowAddends * (kRowPitch + static_cast<std::size_t>(kRowColumns) * a.dim);
}

// The most that a block of any of the three kernels needs.
inline std::size_t most_shared_bytes(std::int64_t height, std::int64_t width, std::int64_t dim) {
  RowColumnArguments a;
  a.down.keys = static_cast<int>(height), a.across.keys = static_cast<int>(width), a.dim = static_cast<int>(dim);
  const auto row = row_shared_bytes(a, true), key_value = key_value_shared_bytes(a);
  return row > key_value ? row : key_value;
}

CELLSAM_HD KeyValueMemory key_value_memory(float* memory) { return {memory, memory + kRowAddends * kRowPitch}; }

// Phase 1, for each `first` of the queries.
CELLSAM_HD void load_addends(const RowColumnArguments& a, const KeyValueBlock& b, const KeyValueMemory& m, int first,
                             int thread) {
  const bool keys = b.part < 2;
  const auto& axis = b.part == 0 ? a.across : a.down;
  auto* of = keys ? axis.weight_grad : axis.weight;
  for (int i = thread; i < whole_fours(axis.keys) * kRowAddends; i += key_value_threads(a)) {
    const int k = i / kRowAddends, q = i % kRowAddends;
    const bool counts = k < axis.keys && first + q < a.queries;
    m.left[q * kRowPitch + k] = counts ? weights_at(a, b.at, axis, of, k)[first + q] : 0;
  }
  const int column = (b.part - 2) * kRowColumns, pitch = kRowColumns * a.dim;
  for (int i = thread; i < kRowAddends * a.dim; i += key_value_threads(a)) {
    const int q = i / a.dim, e = i % a.dim, query = first + q;
    const bool counts = query < a.queries;
    const float value = counts ? load(keys ? axis.query : a.out, row_at(a, b.at, a.queries, query) + e) : 0;
    for (int c = 0; c < kRowColumns; ++c) {
      float weight = c == 0 ? 1 : 0;
      if (!keys)
        weight = counts && column + c < a.across.keys ? weights_at(a, b.at, a.across, a.across.weight, column + c)[query] : 0;
      m.right[q * pitch + c * a.dim + e] = value * weight;
    }
  }
}

// Phase 2.
CELLSAM_HD void sum_addends(const RowColumnArguments& a, const KeyValueBlock& b, const KeyValueMemory& m, RowSums& sums,
                            int thread) {
  const int pitch = kRowColumns * a.dim, groups = pitch / kRowSide;
  const int k = thread / groups * kRowSide, e = thread % groups * kRowSide;
  if (k >= (b.part == 0 ? a.across.keys : a.down.keys)) return;
  for (int q = 0; q < kRowAddends; ++q) sums.add(four_at(m.left + q * kRowPitch + k), four_at(m.right + q * pitch + e));
}

// Phase 3, once.
CELLSAM_HD void store_key_value_grads(const RowColumnArguments& a, const KeyValueBlock& b, const RowSums& sums, int thread) {
  const int groups = kRowColumns * a.dim / kRowSide, place = thread % groups * kRowSide, e = place % a.dim;
  const bool keys = b.part < 2;
  const auto& axis = b.part == 0 ? a.across : a.down;
  const int column = keys ? 0 : (b.part - 2) * kRowColumns + place / a.dim, width = a.across.keys;
  if (keys ? place >= a.dim : column >= width) return;
  for (int i = 0; i < kRowSide; ++i) {
    const int k = thread / groups * kRowSide + i;
    if (k >= axis.keys) return;
    const auto at = keys ? row_at(a, b.at, axis.keys, k) : row_at(a, b.at, axis.keys * width, k * width + column);
    for (int j = 0; j < kRowSide; ++j) store(keys ? axis.key_grad : a.value_grad, at + e + j, sums.at[i][j]);
  }
}

}  // namespace cellsam::cuda
