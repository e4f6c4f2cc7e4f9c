// Row-column decoupled attention (Wang et al., Anchor DETR, AAAI 2022) of one batch item and head (RowColumnJob):
//   A^x[q,w] = softmax over w (scale * query_row[q] . key_row[w])      [Q,W]
//   A^y[q,h] = softmax over h (scale * query_col[q] . key_col[h])      [Q,H]
//   out[q] = sum over w of A^x[q,w] * (sum over h of A^y[q,h] * value[h,w])
// with queries [Q,d], keys [W,d] and [H,d], value [H,W,d]: docs/math.md section 4. For each column w the inner sum is made in
// registers for a few channels at a time, so that the [Q,W,d] numbers of other formulations are never stored. Called through
// the table by ops/fused_attention.cc; compiled for AVX2, AVX-512 and AVX-512 with bf16 products.
//
// `row` is along a row and belongs to A^x, `col` to A^y, as in the paper. Suffixes of operands: see attention_vec.h.
#pragma once

#include "kernels/attention_vec.h"

namespace cellsam::kernels::attention {
namespace {

// Where the packed operands of a job lie in its `job_scratch`.
template <class Op>
struct RowColumnLayout {
  RowColumnLayout(const RowColumnJob& job, bool backward) {
    dim = round_up(job.dim, kDimMultiple);
    width = round_up(job.width, kTileRows);
    height = round_up(job.height, kTileRows);
    dim_words = words<Op>(dim);
    height_words = words<Op>(job.height);
    blocks = (job.queries + kBlockQueries - 1) / kBlockQueries;
    block_words = kBlockQueries / Op::kStep;
    std::int64_t at = 0;
    const auto take = [&](std::int64_t count) { return (at += count) - count; };
    key_row = take(width * dim_words), key_col = take(height * dim_words);
    value = take(backward ? job.height * width * dim_words : job.width * height_words * dim);
    if (backward) {
      key_row_pairs = take(words<Op>(job.width) * dim), key_col_pairs = take(height_words * dim);
      row_weight = take(blocks * job.width * kBlockQueries), col_weight = take(blocks * height * block_words);
      row_score_grad = take(blocks * width * block_words), col_score_grad = take(blocks * height * block_words);
      out_grad = take(blocks * kBlockQueries * dim);
      query_row = take(blocks * block_words * dim), query_col = take(blocks * block_words * dim);
    }
    total = at;
  }

  std::int64_t dim, width, height, dim_words, height_words, blocks, block_words;  // padded sizes, and sizes in words
  std::int64_t key_row, key_col;                                                  // [W][dim_words], [H][dim_words]
  std::int64_t value;                                 // forward [W][height_words][dim], backward [H][W][dim_words]
  std::int64_t key_row_pairs = 0, key_col_pairs = 0;  // [words of W][dim], [words of H][dim]
  std::int64_t row_weight = 0;                        // floats [blocks][W][kBlockQueries]
  std::int64_t col_weight = 0, row_score_grad = 0,
               col_score_grad = 0;            // [blocks][H or W][block_words]: attention, its scores' gradients
  std::int64_t out_grad = 0;                  // floats [blocks][kBlockQueries][dim]
  std::int64_t query_row = 0, query_col = 0;  // [blocks][block_words][dim]
  std::int64_t total;
};

template <class Op>
std::int64_t row_column_job_scratch(const RowColumnJob& job, bool backward) {
  return RowColumnLayout<Op>(job, backward).total;
}

template <class Op>
std::int64_t row_column_thread_scratch(const RowColumnJob& job) {
  const RowColumnLayout<Op> layout(job, false);
  return (3 * (layout.width + layout.height) + 6 * layout.dim + 8) * kBlockQueries +
         (layout.height + layout.width) * layout.dim;
}

template <class Op>
void row_column_pack(const RowColumnJob& job, bool backward, float* thread_scratch) {
  const RowColumnLayout<Op> layout(job, backward);
  const auto keys = [&](const Rows& rows, std::int64_t count, std::int64_t padded, std::int64_t to, std::int64_t key_pairs) {
    read_rows(thread_scratch, layout.dim, rows, 0, count, job.dim);
    std::memset(thread_scratch + count * layout.dim, 0, (padded - count) * layout.dim * sizeof(float));
    pack_column_pairs<Op>(job.job_scratch + to, thread_scratch, padded, layout.dim);
    if (backward) pack_row_pairs<Op>(job.job_scratch + key_pairs, thread_scratch, count, layout.dim);
  };
  keys(job.key_row, job.width, layout.width, layout.key_row, layout.key_row_pairs);
  keys(job.key_col, job.height, layout.height, layout.key_col, layout.key_col_pairs);
  float* value = job.job_scratch + layout.value;
  if (backward) {
    for (std::int64_t h = 0; h < job.height; ++h, value += layout.width * layout.dim_words) {
      read_rows(thread_scratch, layout.dim, job.value, h * job.width, job.width, job.dim);
      std::memset(thread_scratch + job.width * layout.dim, 0, (layout.width - job.width) * layout.dim * sizeof(float));
      pack_column_pairs<Op>(value, thread_scratch, layout.width, layout.dim);
    }
  } else {
    for (std::int64_t w = 0; w < job.width; ++w, value += layout.height_words * layout.dim) {
      read_rows(thread_scratch, layout.dim, job.value, w, job.height, job.dim, job.width);
      pack_row_pairs<Op>(value, thread_scratch, job.height, layout.dim);
    }
  }
}

// Softmax over `count` keys, for each query on its own: scores [keys][kBlockQueries] become weights, those of hidden and
// padding keys zero.
template <class Op>
void softmax(float* x, std::int64_t count, std::int64_t padded, const bool* hidden, float scale) {
  for (std::int64_t j = 0; j < kBlockVectors; ++j) {
    float* column = x + j * kVectorFloats;
    Vec max_score = splat(-__builtin_inff());
    for (std::int64_t i = 0; i < count; ++i) {
      if (hidden == nullptr || !hidden[i]) max_score = max(load(column + i * kBlockQueries), max_score);
    }
    const Vec factor = splat(scale * kLog2E), shift = max_score * factor;
    Vec sum = {};
    for (std::int64_t i = 0; i < count; ++i) {
      const bool seen = hidden == nullptr || !hidden[i];
      const Vec weight = seen ? exp2_nonpositive<Op::kTerms>(load(column + i * kBlockQueries) * factor - shift) : Vec{};
      store(column + i * kBlockQueries, weight);
      sum += weight;
    }
    const Vec inverse = 1.0f / sum;
    for (std::int64_t i = 0; i < count; ++i) store(column + i * kBlockQueries, load(column + i * kBlockQueries) * inverse);
    for (std::int64_t i = count; i < padded; ++i) store(column + i * kBlockQueries, Vec{});
  }
}

// Both attentions of a block, floats [W][kBlockQueries] and [H][kBlockQueries]. rows: 2 * kBlockQueries * dim floats for the
// queries themselves.
template <class Op>
void attention_weights(const RowColumnJob& job, const RowColumnLayout<Op>& layout, std::int64_t first, std::int64_t count,
                       float* row_weights, float* col_weights, float* rows, float* scratch) {
  float* operand = scratch + layout.dim * kBlockQueries;
  read_queries<Op>(operand, rows, scratch, job.query_row, first, count, job.dim, layout.dim);
  product<Op, kBlockVectors, false>(row_weights, kBlockQueries, layout.width, job.job_scratch + layout.key_row,
                                    layout.dim_words, 1, operand, kBlockQueries, layout.dim_words);
  softmax<Op>(row_weights, job.width, layout.width, job.hidden_columns, job.scale);
  read_queries<Op>(operand, rows + kBlockQueries * layout.dim, scratch, job.query_col, first, count, job.dim, layout.dim);
  product<Op, kBlockVectors, false>(col_weights, kBlockQueries, layout.height, job.job_scratch + layout.key_col,
                                    layout.dim_words, 1, operand, kBlockQueries, layout.dim_words);
  softmax<Op>(col_weights, job.height, layout.height, job.hidden_rows, job.scale);
}

template <class Op>
void row_column_forward(const RowColumnJob& job, std::int64_t block, float* thread_scratch) {
  const RowColumnLayout<Op> layout(job, false);
  const std::int64_t first = block * kBlockQueries, rest = job.queries - first,
                     count = rest < kBlockQueries ? rest : kBlockQueries;
  float* row_weights = thread_scratch;
  float* col_weights = row_weights + layout.width * kBlockQueries;
  float* packed = col_weights + layout.height * kBlockQueries;  // [height_words][kBlockQueries]
  float* out = packed + layout.height * kBlockQueries;          // [dim][kBlockQueries]
  float* rows = out + layout.dim * kBlockQueries;
  attention_weights(job, layout, first, count, row_weights, col_weights, rows, rows + 2 * layout.dim * kBlockQueries);
  pack_row_pairs<Op>(packed, col_weights, job.height, kBlockQueries);
  std::memset(out, 0, layout.dim * kBlockQueries * sizeof(float));
  for (std::int64_t w = 0; w < job.width; ++w) {
    const float* value = job.job_scratch + layout.value + w * layout.height_words * layout.dim;
    Vec weight[kBlockVectors];
    for (int j = 0; j < kBlockVectors; ++j) weight[j] = load(row_weights + w * kBlockQueries + j * kVectorFloats);
    for (std::int64_t e = 0; e < layout.dim; e += kTileRows) {
      Vec sum[kTileRows][kBlockVectors] = {};
      multiply<Op, kBlockVectors>(sum, value + e, 1, layout.dim, packed, kBlockQueries, layout.height_words);
#pragma GCC unroll 8
      for (int m = 0; m < kTileRows; ++m) {
#pragma GCC unroll 4
        for (int j = 0; j < kBlockVectors; ++j) {
          float* to = out + (e + m) * kBlockQueries + j * kVectorFloats;
          store(to, load(to) + weight[j] * sum[m][j]);
        }
      }
    }
  }
  for (std::int64_t q = 0; q < count; ++q) write_row(job.out, first + q, out + q, job.dim, kBlockQueries);
}

// Gradients of the scores from those of the weights, in place and for each query: ds = a * (da - sum of a * da) * scale.
inline void softmax_backward(float* grad, const float* weight, std::int64_t count, float scale) {
  for (std::int64_t j = 0; j < kBlockQueries; j += kVectorFloats) {
    Vec sum = {};
    for (std::int64_t i = 0; i < count; ++i) sum += load(grad + i * kBlockQueries + j) * load(weight + i * kBlockQueries + j);
    for (std::int64_t i = 0; i < count; ++i) {
      float* at = grad + i * kBlockQueries + j;
      store(at, load(weight + i * kBlockQueries + j) * (load(at) - sum) * scale);
    }
  }
}

// Gradients of both attentions, docs/math.md (4.2): s[h,w] = out_grad . value[h,w] is computed once; summed with the weights of
// the one attention it is the gradient of the other.
template <class Op>
void attention_weight_grads(const RowColumnJob& job, const RowColumnLayout<Op>& layout, const float* row_weights,
                            const float* col_weights, const float* out_grad, float* row_weight_grads, float* col_weight_grads) {
  std::memset(row_weight_grads, 0, layout.width * kBlockQueries * sizeof(float));
  for (std::int64_t h = 0; h < job.height; ++h) {
    const float* value = job.job_scratch + layout.value + h * layout.width * layout.dim_words;
    Vec col[kBlockVectors], total[kBlockVectors] = {};
    for (int j = 0; j < kBlockVectors; ++j) col[j] = load(col_weights + h * kBlockQueries + j * kVectorFloats);
    for (std::int64_t w = 0; w < layout.width; w += kTileRows) {
      Vec sum[kTileRows][kBlockVectors] = {};
      multiply<Op, kBlockVectors>(sum, value + w * layout.dim_words, layout.dim_words, 1, out_grad, kBlockQueries,
                                  layout.dim_words);
#pragma GCC unroll 4
      for (int j = 0; j < kBlockVectors; ++j) {
#pragma GCC unroll 8
        for (int m = 0; m < kTileRows; ++m) {
          const std::int64_t place = (w + m) * kBlockQueries + j * kVectorFloats;
          store(row_weight_grads + place, load(row_weight_grads + place) + col[j] * sum[m][j]);
          total[j] += load(row_weights + place) * sum[m][j];
        }
      }
    }
    for (int j = 0; j < kBlockVectors; ++j) store(col_weight_grads + h * kBlockQueries + j * kVectorFloats, total[j]);
  }
}

// The gradients of a block of queries. Leaves the block's weights and the gradients of its scores in job_scratch.
template <class Op>
void row_column_query_grads(const RowColumnJob& job, std::int64_t block, float* thread_scratch) {
  const RowColumnLayout<Op> layout(job, true);
  const std::int64_t first = block * kBlockQueries, rest = job.queries - first,
                     count = rest < kBlockQueries ? rest : kBlockQueries;
  float* row_weights = thread_scratch;
  float* col_weights = row_weights + layout.width * kBlockQueries;
  float* row_weight_grads = col_weights + layout.height * kBlockQueries;
  float* col_weight_grads = row_weight_grads + layout.width * kBlockQueries;
  float* packed = col_weight_grads + layout.height * kBlockQueries;  // [words of W or H][kBlockQueries]
  float* rows = packed + (layout.width + layout.height) * kBlockQueries;
  float* scratch = rows + 2 * layout.dim * kBlockQueries;
  float* out_grad = scratch + 2 * layout.dim * kBlockQueries;  // [dim_words][kBlockQueries]
  attention_weights(job, layout, first, count, row_weights, col_weights, rows, scratch);
  pack_row_pairs<Op>(job.job_scratch + layout.query_row + block * layout.block_words * layout.dim, rows, kBlockQueries,
                     layout.dim);
  pack_row_pairs<Op>(job.job_scratch + layout.query_col + block * layout.block_words * layout.dim,
                     rows + kBlockQueries * layout.dim, kBlockQueries, layout.dim);
  float* grad_rows = job.job_scratch + layout.out_grad + block * kBlockQueries * layout.dim;
  read_queries<Op>(out_grad, grad_rows, scratch, job.out_grad, first, count, job.dim, layout.dim);

  attention_weight_grads(job, layout, row_weights, col_weights, out_grad, row_weight_grads, col_weight_grads);
  std::memcpy(job.job_scratch + layout.row_weight + block * job.width * kBlockQueries, row_weights,
              job.width * kBlockQueries * sizeof(float));
  pack_column_pairs<Op>(job.job_scratch + layout.col_weight + block * layout.height * layout.block_words, col_weights,
                        layout.height, kBlockQueries);
  const auto finish = [&](float* grad, const float* weight, std::int64_t keys, std::int64_t padded, std::int64_t score_grad,
                          std::int64_t key_pairs, const Rows& to) {
    softmax_backward(grad, weight, keys, job.scale);
    std::memset(grad + keys * kBlockQueries, 0, (padded - keys) * kBlockQueries * sizeof(float));
    pack_column_pairs<Op>(job.job_scratch + score_grad + block * padded * layout.block_words, grad, padded, kBlockQueries);
    pack_row_pairs<Op>(packed, grad, keys, kBlockQueries);
    product<Op, kBlockVectors, false>(scratch, kBlockQueries, layout.dim, job.job_scratch + key_pairs, 1, layout.dim, packed,
                                      kBlockQueries, words<Op>(keys));
    for (std::int64_t q = 0; q < count; ++q) write_row(to, first + q, scratch + q, job.dim, kBlockQueries);
  };
  finish(row_weight_grads, row_weights, job.width, layout.width, layout.row_score_grad, layout.key_row_pairs,
         job.query_row_grad);
  finish(col_weight_grads, col_weights, job.height, layout.height, layout.col_score_grad, layout.key_col_pairs,
         job.query_col_grad);
}

// Gradients that are sums over all queries: of one column of the values, or (column == W) of both keys. docs/math.md (4.3).
template <class Op>
void row_column_key_value_grads(const RowColumnJob& job, std::int64_t column, float* thread_scratch) {
  const RowColumnLayout<Op> layout(job, true);
  if (column == job.width) {
    const auto keys = [&](const Rows& to, std::int64_t count, std::int64_t padded, std::int64_t score_grad,
                          std::int64_t query) {
      std::memset(thread_scratch, 0, padded * layout.dim * sizeof(float));
      for (std::int64_t b = 0; b < layout.blocks; ++b) {
        product_add<Op>(thread_scratch, layout.dim, padded, job.job_scratch + score_grad + b * padded * layout.block_words,
                        layout.block_words, 1, job.job_scratch + query + b * layout.block_words * layout.dim,
                        layout.block_words);
      }
      for (std::int64_t i = 0; i < count; ++i) write_row(to, i, thread_scratch + i * layout.dim, job.dim);
    };
    keys(job.key_row_grad, job.width, layout.width, layout.row_score_grad, layout.query_row);
    keys(job.key_col_grad, job.height, layout.height, layout.col_score_grad, layout.query_col);
    return;
  }
  float* sum = thread_scratch;  // [H][dim]
  float* weighted_grad =
      thread_scratch + layout.height * layout.dim;  // [block_words][dim]: this column's attention times the output's gradient
  float* rows = weighted_grad + kBlockQueries * layout.dim;
  std::memset(sum, 0, layout.height * layout.dim * sizeof(float));
  for (std::int64_t b = 0; b < layout.blocks; ++b) {
    const float* weight = job.job_scratch + layout.row_weight + (b * job.width + column) * kBlockQueries;
    const float* grad = job.job_scratch + layout.out_grad + b * kBlockQueries * layout.dim;
    for (std::int64_t q = 0; q < kBlockQueries; ++q) {
      const Vec factor = splat(weight[q]);
      for (std::int64_t i = 0; i < layout.dim; i += kVectorFloats)
        store(rows + q * layout.dim + i, load(grad + q * layout.dim + i) * factor);
    }
    pack_row_pairs<Op>(weighted_grad, rows, kBlockQueries, layout.dim);
    product_add<Op>(sum, layout.dim, layout.height,
                    job.job_scratch + layout.col_weight + b * layout.height * layout.block_words, layout.block_words, 1,
                    weighted_grad, layout.block_words);
  }
  for (std::int64_t h = 0; h < job.height; ++h)
    write_row(job.value_grad, h * job.width + column, sum + h * layout.dim, job.dim);
}

}  // namespace
}  // namespace cellsam::kernels::attention
