// Row-column attention in lanes: the value product of a tile of channels is summed over rows in registers, weighted with the
// column's attention and added to the output, so what other formulations store per query and column never leaves the core.
#pragma once

#include "kernels/attention_vec.h"

namespace cellsam::kernels::lanes {
namespace {

// Where a job's packed operands lie in `shared`.
template <class Op>
struct RowColumnLayout {
  RowColumnLayout(const RowColumnJob& job, bool backward) {
    dim = round_up(job.dim, kRound);
    width = round_up(job.width, kTile);
    height = round_up(job.height, kTile);
    deep = words<Op>(dim);
    rows_deep = words<Op>(job.height);
    blocks = (job.queries + kBlock - 1) / kBlock;
    lanes = kBlock / Op::kStep;
    std::int64_t at = 0;
    const auto take = [&](std::int64_t count) { return (at += count) - count; };
    key_row = take(width * deep), key_col = take(height * deep);
    value = take(backward ? job.height * width * deep : job.width * rows_deep * dim);
    if (backward) {
      key_row_down = take(words<Op>(job.width) * dim), key_col_down = take(rows_deep * dim);
      row_weight = take(blocks * job.width * kBlock), col_weight = take(blocks * height * lanes);
      row_slope = take(blocks * width * lanes), col_slope = take(blocks * height * lanes);
      out_grad = take(blocks * kBlock * dim);
      query_row = take(blocks * lanes * dim), query_col = take(blocks * lanes * dim);
    }
    total = at;
  }

  std::int64_t dim, width, height, deep, rows_deep, blocks, lanes;  // padded sizes, and sizes in words
  std::int64_t key_row, key_col;                                    // [W][deep], [H][deep]
  std::int64_t value;                                               // forward [W][rows_deep][dim], backward [H][W][deep]
  std::int64_t key_row_down = 0, key_col_down = 0;                  // [words of W][dim], [words of H][dim]
  std::int64_t row_weight = 0;                                      // floats [blocks][W][kBlock]
  std::int64_t col_weight = 0, row_slope = 0, col_slope = 0;        // [blocks][H or W][lanes]: attention, its scores' gradients
  std::int64_t out_grad = 0;                                        // floats [blocks][kBlock][dim]
  std::int64_t query_row = 0, query_col = 0;                        // [blocks][lanes][dim]
  std::int64_t total;
};

template <class Op>
std::int64_t row_column_shared(const RowColumnJob& job, bool backward) {
  return RowColumnLayout<Op>(job, backward).total;
}

template <class Op>
std::int64_t row_column_own(const RowColumnJob& job) {
  const RowColumnLayout<Op> at(job, false);
  return (3 * (at.width + at.height) + 6 * at.dim + 8) * kBlock + (at.height + at.width) * at.dim;
}

template <class Op>
void row_column_pack(const RowColumnJob& job, bool backward, float* own) {
  const RowColumnLayout<Op> at(job, backward);
  const auto keys = [&](const Rows& rows, std::int64_t count, std::int64_t padded, std::int64_t to, std::int64_t down) {
    read_rows(own, at.dim, rows, 0, count, job.dim);
    std::memset(own + count * at.dim, 0, (padded - count) * at.dim * sizeof(float));
    pack_along<Op>(job.shared + to, own, padded, at.dim);
    if (backward) pack_down<Op>(job.shared + down, own, count, at.dim);
  };
  keys(job.key_row, job.width, at.width, at.key_row, at.key_row_down);
  keys(job.key_col, job.height, at.height, at.key_col, at.key_col_down);
  float* value = job.shared + at.value;
  if (backward) {
    for (std::int64_t h = 0; h < job.height; ++h, value += at.width * at.deep) {
      read_rows(own, at.dim, job.value, h * job.width, job.width, job.dim);
      std::memset(own + job.width * at.dim, 0, (at.width - job.width) * at.dim * sizeof(float));
      pack_along<Op>(value, own, at.width, at.dim);
    }
  } else {
    for (std::int64_t w = 0; w < job.width; ++w, value += at.rows_deep * at.dim) {
      read_rows(own, at.dim, job.value, w, job.height, job.dim, job.width);
      pack_down<Op>(value, own, job.height, at.dim);
    }
  }
}

// Softmax over `count` keys in every lane: scores [keys][kBlock] become weights, those of hidden and padding keys zero.
template <class Op>
void softmax(float* x, std::int64_t count, std::int64_t padded, const bool* hidden, float scale) {
  for (std::int64_t j = 0; j < kVectors; ++j) {
    float* column = x + j * kLanes;
    Vec top = splat(-__builtin_inff());
    for (std::int64_t i = 0; i < count; ++i) {
      if (hidden == nullptr || !hidden[i]) top = max(load(column + i * kBlock), top);
    }
    const Vec factor = splat(scale * kLog2E), shift = top * factor;
    Vec sum = {};
    for (std::int64_t i = 0; i < count; ++i) {
      const bool seen = hidden == nullptr || !hidden[i];
      const Vec weight = seen ? exp2<Op>(load(column + i * kBlock) * factor - shift) : Vec{};
      store(column + i * kBlock, weight);
      sum += weight;
    }
    const Vec inverse = 1.0f / sum;
    for (std::int64_t i = 0; i < count; ++i) store(column + i * kBlock, load(column + i * kBlock) * inverse);
    for (std::int64_t i = count; i < padded; ++i) store(column + i * kBlock, Vec{});
  }
}

// Both attentions of a block, floats [W][kBlock] and [H][kBlock]. rows: 2 * kBlock * dim floats for the queries themselves.
template <class Op>
void weigh(const RowColumnJob& job, const RowColumnLayout<Op>& at, std::int64_t first, std::int64_t count, float* over_width,
           float* over_height, float* rows, float* scratch) {
  float* operand = scratch + at.dim * kBlock;
  read_block<Op>(operand, rows, scratch, job.query_row, first, count, job.dim, at.dim);
  product<Op, kVectors, false>(over_width, kBlock, at.width, job.shared + at.key_row, at.deep, 1, operand, kBlock, at.deep);
  softmax<Op>(over_width, job.width, at.width, job.hidden_columns, job.scale);
  read_block<Op>(operand, rows + kBlock * at.dim, scratch, job.query_col, first, count, job.dim, at.dim);
  product<Op, kVectors, false>(over_height, kBlock, at.height, job.shared + at.key_col, at.deep, 1, operand, kBlock, at.deep);
  softmax<Op>(over_height, job.height, at.height, job.hidden_rows, job.scale);
}

template <class Op>
void row_column_forward(const RowColumnJob& job, std::int64_t block, float* own) {
  const RowColumnLayout<Op> at(job, false);
  const std::int64_t first = block * kBlock, rest = job.queries - first, count = rest < kBlock ? rest : kBlock;
  float* over_width = own;
  float* over_height = over_width + at.width * kBlock;
  float* packed = over_height + at.height * kBlock;  // [rows_deep][kBlock]
  float* out = packed + at.height * kBlock;          // [dim][kBlock]
  float* rows = out + at.dim * kBlock;
  weigh(job, at, first, count, over_width, over_height, rows, rows + 2 * at.dim * kBlock);
  pack_down<Op>(packed, over_height, job.height, kBlock);
  std::memset(out, 0, at.dim * kBlock * sizeof(float));
  for (std::int64_t w = 0; w < job.width; ++w) {
    const float* value = job.shared + at.value + w * at.rows_deep * at.dim;
    Vec weight[kVectors];
    for (int j = 0; j < kVectors; ++j) weight[j] = load(over_width + w * kBlock + j * kLanes);
    for (std::int64_t e = 0; e < at.dim; e += kTile) {
      Vec sum[kTile][kVectors] = {};
      multiply<Op, kVectors>(sum, value + e, 1, at.dim, packed, kBlock, at.rows_deep);
#pragma GCC unroll 8
      for (int m = 0; m < kTile; ++m) {
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) {
          float* to = out + (e + m) * kBlock + j * kLanes;
          store(to, load(to) + weight[j] * sum[m][j]);
        }
      }
    }
  }
  for (std::int64_t q = 0; q < count; ++q) write_row(job.out, first + q, out + q, job.dim, kBlock);
}

// Gradients of the scores from those of the weights, in place and per lane: dl = a * (da - sum of a * da) * scale.
inline void softmax_backward(float* grad, const float* weight, std::int64_t count, float scale) {
  for (std::int64_t j = 0; j < kBlock; j += kLanes) {
    Vec sum = {};
    for (std::int64_t i = 0; i < count; ++i) sum += load(grad + i * kBlock + j) * load(weight + i * kBlock + j);
    for (std::int64_t i = 0; i < count; ++i) {
      float* at = grad + i * kBlock + j;
      store(at, load(weight + i * kBlock + j) * (load(at) - sum) * scale);
    }
  }
}

// s[h,w] = out_grad . value[h,w] once: summed with the one attention it is the gradient of the other.
template <class Op>
void weight_gradients(const RowColumnJob& job, const RowColumnLayout<Op>& at, const float* over_width, const float* over_height,
                      const float* out_grad, float* width_grad, float* height_grad) {
  std::memset(width_grad, 0, at.width * kBlock * sizeof(float));
  for (std::int64_t h = 0; h < job.height; ++h) {
    const float* value = job.shared + at.value + h * at.width * at.deep;
    Vec col[kVectors], total[kVectors] = {};
    for (int j = 0; j < kVectors; ++j) col[j] = load(over_height + h * kBlock + j * kLanes);
    for (std::int64_t w = 0; w < at.width; w += kTile) {
      Vec sum[kTile][kVectors] = {};
      multiply<Op, kVectors>(sum, value + w * at.deep, at.deep, 1, out_grad, kBlock, at.deep);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
#pragma GCC unroll 8
        for (int m = 0; m < kTile; ++m) {
          const std::int64_t place = (w + m) * kBlock + j * kLanes;
          store(width_grad + place, load(width_grad + place) + col[j] * sum[m][j]);
          total[j] += load(over_width + place) * sum[m][j];
        }
      }
    }
    for (int j = 0; j < kVectors; ++j) store(height_grad + h * kBlock + j * kLanes, total[j]);
  }
}

template <class Op>
void row_column_queries(const RowColumnJob& job, std::int64_t block, float* own) {
  const RowColumnLayout<Op> at(job, true);
  const std::int64_t first = block * kBlock, rest = job.queries - first, count = rest < kBlock ? rest : kBlock;
  float* over_width = own;
  float* over_height = over_width + at.width * kBlock;
  float* width_grad = over_height + at.height * kBlock;
  float* height_grad = width_grad + at.width * kBlock;
  float* packed = height_grad + at.height * kBlock;  // [words of W or H][kBlock]
  float* rows = packed + (at.width + at.height) * kBlock;
  float* scratch = rows + 2 * at.dim * kBlock;
  float* out_grad = scratch + 2 * at.dim * kBlock;  // [deep][kBlock]
  weigh(job, at, first, count, over_width, over_height, rows, scratch);
  pack_down<Op>(job.shared + at.query_row + block * at.lanes * at.dim, rows, kBlock, at.dim);
  pack_down<Op>(job.shared + at.query_col + block * at.lanes * at.dim, rows + kBlock * at.dim, kBlock, at.dim);
  float* grad_rows = job.shared + at.out_grad + block * kBlock * at.dim;
  read_block<Op>(out_grad, grad_rows, scratch, job.out_grad, first, count, job.dim, at.dim);

  weight_gradients(job, at, over_width, over_height, out_grad, width_grad, height_grad);
  std::memcpy(job.shared + at.row_weight + block * job.width * kBlock, over_width, job.width * kBlock * sizeof(float));
  pack_along<Op>(job.shared + at.col_weight + block * at.height * at.lanes, over_height, at.height, kBlock);
  const auto finish = [&](float* grad, const float* weight, std::int64_t keys, std::int64_t padded, std::int64_t slope,
                          std::int64_t down, const Rows& to) {
    softmax_backward(grad, weight, keys, job.scale);
    std::memset(grad + keys * kBlock, 0, (padded - keys) * kBlock * sizeof(float));
    pack_along<Op>(job.shared + slope + block * padded * at.lanes, grad, padded, kBlock);
    pack_down<Op>(packed, grad, keys, kBlock);
    product<Op, kVectors, false>(scratch, kBlock, at.dim, job.shared + down, 1, at.dim, packed, kBlock, words<Op>(keys));
    for (std::int64_t q = 0; q < count; ++q) write_row(to, first + q, scratch + q, job.dim, kBlock);
  };
  finish(width_grad, over_width, job.width, at.width, at.row_slope, at.key_row_down, job.query_row_grad);
  finish(height_grad, over_height, job.height, at.height, at.col_slope, at.key_col_down, job.query_col_grad);
}

// Sums over all queries: one column of the values, or (column == W) both keys.
template <class Op>
void row_column_cells(const RowColumnJob& job, std::int64_t column, float* own) {
  const RowColumnLayout<Op> at(job, true);
  if (column == job.width) {
    const auto keys = [&](const Rows& to, std::int64_t count, std::int64_t padded, std::int64_t slope, std::int64_t query) {
      std::memset(own, 0, padded * at.dim * sizeof(float));
      for (std::int64_t b = 0; b < at.blocks; ++b) {
        product_add<Op>(own, at.dim, padded, job.shared + slope + b * padded * at.lanes, at.lanes, 1,
                        job.shared + query + b * at.lanes * at.dim, at.lanes);
      }
      for (std::int64_t i = 0; i < count; ++i) write_row(to, i, own + i * at.dim, job.dim);
    };
    keys(job.key_row_grad, job.width, at.width, at.row_slope, at.query_row);
    keys(job.key_col_grad, job.height, at.height, at.col_slope, at.query_col);
    return;
  }
  float* sum = own;                          // [H][dim]
  float* spread = own + at.height * at.dim;  // [lanes][dim]: this column's attention times the output's gradient
  float* rows = spread + kBlock * at.dim;
  std::memset(sum, 0, at.height * at.dim * sizeof(float));
  for (std::int64_t b = 0; b < at.blocks; ++b) {
    const float* weight = job.shared + at.row_weight + (b * job.width + column) * kBlock;
    const float* grad = job.shared + at.out_grad + b * kBlock * at.dim;
    for (std::int64_t q = 0; q < kBlock; ++q) {
      const Vec factor = splat(weight[q]);
      for (std::int64_t i = 0; i < at.dim; i += kLanes) store(rows + q * at.dim + i, load(grad + q * at.dim + i) * factor);
    }
    pack_down<Op>(spread, rows, kBlock, at.dim);
    product_add<Op>(sum, at.dim, at.height, job.shared + at.col_weight + b * at.height * at.lanes, at.lanes, 1, spread,
                    at.lanes);
  }
  for (std::int64_t h = 0; h < job.height; ++h) write_row(job.value_grad, h * job.width + column, sum + h * at.dim, job.dim);
}

}  // namespace
}  // namespace cellsam::kernels::lanes
