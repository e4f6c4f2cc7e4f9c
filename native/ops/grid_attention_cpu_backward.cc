// The backward half of grid_attention_cpu.h.
#include <ATen/ATen.h>

#include <cmath>

#include "base/parallel.h"

#include "ops/attention_task.h"

namespace cellsam::ops {
namespace {

// What all threads read and write. Gradients of the tables are summed in `tables` [problems*parts,2,2*side-1,width], those of
// the row that fills windows up in `fill` [problems,2,width].
template <class T>
struct Maps {
  const T *qkv, *pad, *table_h, *table_w, *out, *slope;
  const float* lse;
  T* qkv_slope;
  float *tables, *fill;
};

template <class T>
class Backward {
 public:
  Backward(const GridShape& shape, const Maps<T>& maps, std::int64_t parts)
      : shape_(shape),
        maps_(maps),
        parts_(parts),
        blocks_(shape.side),
        cells_(shape.side * shape.side),
        even_cells_(up_to_multiple(cells_, 2)),
        channels_(shape.heads * shape.width),
        keys_(even_cells_ * shape.width),
        values_(even_cells_ * shape.width),
        keys_turned_(even_cells_ * shape.width),
        rows_(kQueryBlock * shape.width),
        queries_(kQueryBlock * shape.width),
        query_rows_(kQueryBlock * shape.width),
        slopes_(kQueryBlock * shape.width),
        slope_rows_(kQueryBlock * shape.width),
        out_rows_(kQueryBlock * shape.width),
        weights_(blocks_.largest() * kQueryBlock),
        score_slopes_(blocks_.largest() * kQueryBlock),
        score_pairs_(blocks_.largest() * kQueryBlock),
        spread_rows_(2 * shape.side * kQueryBlock),
        spread_pairs_(2 * shape.side * kQueryBlock),
        tables_turned_(4 * shape.side * shape.width),
        scores_(blocks_.largest() * kQueryBlock),
        value_slopes_(blocks_.largest() * kQueryBlock),
        products_(2 * shape.side * kQueryBlock),
        rel_h_(shape.side * kQueryBlock),
        rel_w_(shape.side * kQueryBlock),
        slope_h_(shape.side * kQueryBlock),
        slope_w_(shape.side * kQueryBlock),
        query_slopes_(shape.width * kQueryBlock),
        turned_(shape.width * kQueryBlock) {
    turn_table(maps.table_h, tables_turned_);
    turn_table(maps.table_w, tables_turned_ + 2 * shape.side * shape.width);
  }

  // One part of one problem. key_slopes [2,cells,width]: the gradients of all its keys and values, the keys' not yet scaled.
  void run(std::int64_t index, std::int64_t part, float* key_slopes) {
    const Problem problem(shape_, index);
    key_slopes_ = key_slopes;
    table_slopes_ = maps_.tables + (index * parts_ + part) * 2 * (2 * shape_.side - 1) * shape_.width;
    std::fill(key_slopes_, key_slopes_ + 2 * cells_ * shape_.width, 0.0F);
    std::fill(table_slopes_, table_slopes_ + 2 * (2 * shape_.side - 1) * shape_.width, 0.0F);
    problem.gather_keys<T>(maps_.qkv, maps_.pad, 1, keys_);
    problem.gather_keys<T>(maps_.qkv, maps_.pad, 2, values_);
    transpose(static_cast<T*>(keys_), even_cells_, shape_.width, static_cast<T*>(keys_turned_));
    const auto end = (part + 1) * problem.blocks() / parts_;
    for (auto block = part * problem.blocks() / parts_; block < end; ++block) visit(problem, block * problem.block);
  }

 private:
  // [2*side-1,width] -> [width,2*side], with a column of zeros: bf16 products want an even inner dimension.
  void turn_table(const T* table, T* turned) const {
    const auto rows = 2 * shape_.side - 1;
    for (std::int64_t c = 0; c < shape_.width; ++c) {
      for (std::int64_t row = 0; row < rows; ++row) turned[c * (rows + 1) + row] = table[row * shape_.width + c];
      turned[c * (rows + 1) + rows] = 0;
    }
  }

  // One block of queries against all keys.
  void visit(const Problem& problem, std::int64_t first) {
    const auto width = shape_.width, side = shape_.side, n = problem.block;
    const auto count = std::min(n, problem.queries() - first);
    if (count <= 0) return;
    const auto last = problem.queries() - 1;
    const auto y = [&](std::int64_t i) { return std::min(first + i, last) / problem.columns; };
    const auto x = [&](std::int64_t i) { return std::min(first + i, last) % problem.columns; };

    problem.gather<T>(maps_.slope, channels_, problem.head * width, first, count, n, rows_);
    problem.gather<T>(maps_.out, channels_, problem.head * width, first, count, n, out_rows_);
    pack_columns(static_cast<T*>(rows_), n, width, static_cast<T*>(slopes_));
    pack_rows(static_cast<T*>(rows_), n, width, static_cast<T*>(slope_rows_));
    float lse[kQueryBlock], delta[kQueryBlock];
    for (std::int64_t i = 0; i < n; ++i) {
      lse[i] = i < count ? maps_.lse[problem.index * cells_ + first + i] : 0;
      delta[i] = 0;
      for (std::int64_t c = 0; c < width; ++c) {
        delta[i] += static_cast<float>(rows_[i * width + c]) * static_cast<float>(out_rows_[i * width + c]);
      }
    }
    problem.gather<T>(maps_.qkv, 3 * channels_, problem.head * width, first, count, n, rows_);
    pack_columns(static_cast<T*>(rows_), n, width, static_cast<T*>(queries_));
    pack_rows(static_cast<T*>(rows_), n, width, static_cast<T*>(query_rows_));
    relative_scores<T>(maps_.table_h, queries_, side, width, n, products_, rel_h_, y);
    relative_scores<T>(maps_.table_w, queries_, side, width, n, products_, rel_w_, x);

    std::fill(slope_h_ + 0, slope_h_ + side * n, 0.0F);
    std::fill(slope_w_ + 0, slope_w_ + side * n, 0.0F);
    for (std::int64_t top = 0; top < side; top += blocks_.rows) {
      visit_keys(kernels::ScoreBlock{scores_, rel_h_ + top * n, rel_w_, blocks_.height(top), side, n, scale()}, top, lse,
                 delta);
    }
    for (std::int64_t i = 0; i < width * n; ++i) query_slopes_[i] *= scale();
    visit_table(slope_h_, tables_turned_, table_slopes_, n, y);
    visit_table(slope_w_, tables_turned_ + 2 * side * width, table_slopes_ + (2 * side - 1) * width, n, x);
    store_queries<T>(problem, first, count, query_slopes_, turned_, rows_, 3 * channels_, problem.head * width,
                     maps_.qkv_slope);
  }

  // The scores once more, then everything that follows from them.
  void visit_keys(const kernels::ScoreBlock& block, std::int64_t top, const float* lse, const float* delta) {
    const auto width = shape_.width, keys = block.keys(), n = block.n, from = top * shape_.side;
    multiply(keys, n, width, keys_ + from * width, width, static_cast<T*>(queries_), block.scores);
    multiply(keys, n, width, values_ + from * width, width, static_cast<T*>(slopes_), value_slopes_);
    kernels::score_slopes(block, lse, delta, value_slopes_, slope_h_ + top * n, slope_w_);
    const auto [p, d, pairs] = operands(keys, n);
    auto* to_values = key_slopes_ + (cells_ + from) * width;
    multiply(keys, width, n, p, n, static_cast<T*>(slope_rows_), to_values, true);
    multiply(keys, width, n, d, n, static_cast<T*>(query_rows_), key_slopes_ + from * width, true);
    multiply(width, n, inner<T>(keys), keys_turned_ + from, even_cells_, pairs, static_cast<float*>(query_slopes_), top > 0);
  }

  struct Operands {
    const T *p, *d, *pairs;
  };

  Operands operands(std::int64_t keys, std::int64_t n) {
    if constexpr (kHalf<T>) {
      kernels::round_rows(scores_, keys, n, bits(weights_));
      kernels::round_rows(value_slopes_, keys, n, bits(score_slopes_));
      kernels::pair_rows(value_slopes_, keys, n, bits(score_pairs_));
      return {weights_, score_slopes_, score_pairs_};
    } else {
      return {scores_, value_slopes_, value_slopes_};
    }
  }

  // One axis: its part of the gradient of the queries, and the gradient of its table.
  template <class Coordinate>
  void visit_table(const float* slopes, const T* turned, float* table_slopes, std::int64_t n, Coordinate at) {
    const auto width = shape_.width, rows = 2 * shape_.side;
    spread_slopes(slopes, shape_.side, n, products_, at);
    const T *spread, *pairs;
    if constexpr (kHalf<T>) {
      kernels::round_rows(products_, rows, n, bits(spread_rows_));
      kernels::pair_rows(products_, rows, n, bits(spread_pairs_));
      spread = spread_rows_, pairs = spread_pairs_;
    } else {
      spread = pairs = products_;
    }
    multiply(width, n, rows, turned, rows, pairs, static_cast<float*>(query_slopes_), true);
    multiply(rows - 1, width, n, spread, n, static_cast<T*>(query_rows_), table_slopes, true);
  }

  float scale() const { return 1 / std::sqrt(static_cast<float>(shape_.width)); }

  const GridShape& shape_;
  const Maps<T>& maps_;
  const std::int64_t parts_;
  const KeyBlocks blocks_;
  const std::int64_t cells_, even_cells_, channels_;
  float *key_slopes_ = nullptr, *table_slopes_ = nullptr;
  Room<T> keys_, values_, keys_turned_;
  Room<T> rows_, queries_, query_rows_, slopes_, slope_rows_, out_rows_;  // X_ packed by columns, X_rows_ by rows
  Room<T> weights_, score_slopes_, score_pairs_, spread_rows_, spread_pairs_, tables_turned_;
  Room<float> scores_, value_slopes_, products_, rel_h_, rel_w_, slope_h_, slope_w_, query_slopes_, turned_;
};

// Sums the parts [parts,2,cells,width] of a problem and writes the gradients of its keys and values; those of filled-up cells
// go to `fill`.
template <class T>
void finish(const GridShape& shape, const Maps<T>& maps, std::int64_t index, std::int64_t parts, float* slopes) {
  const Problem problem(shape, index);
  const auto width = shape.width, size = 2 * shape.side * shape.side * width, channels = shape.heads * width;
  for (std::int64_t part = 1; part < parts; ++part) {
    for (std::int64_t i = 0; i < size; ++i) slopes[i] += slopes[part * size + i];
  }
  for (std::int64_t i = 0; i < size / 2; ++i) slopes[i] *= 1 / std::sqrt(static_cast<float>(width));
  float* fill = maps.fill + index * 2 * width;
  std::fill(fill, fill + 2 * width, 0.0F);
  for (std::int64_t part = 0; part < 2; ++part, fill += width) {
    for (std::int64_t y = 0; y < shape.side; ++y) {
      for (std::int64_t x = 0; x < shape.side; ++x, slopes += width) {
        if (y < problem.rows && x < problem.columns) {
          T* to = maps.qkv_slope + problem.cell(y, x) * 3 * channels + (1 + part) * channels + problem.head * width;
          for (std::int64_t c = 0; c < width; ++c) to[c] = static_cast<T>(slopes[c]);
        } else {
          for (std::int64_t c = 0; c < width; ++c) fill[c] += slopes[c];
        }
      }
    }
  }
}

template <class T>
GridAttentionSlopes backward(const GridShape& shape, const at::Tensor& qkv, const at::Tensor& pad, const at::Tensor& table_h,
                             const at::Tensor& table_w, const GridAttended& forward, const at::Tensor& slope) {
  const auto parts = parts_of(shape), problems = shape.problems(), width = shape.width, rows = 2 * shape.side - 1;
  const auto floats = qkv.options().dtype(at::kFloat);
  const auto size = 2 * shape.side * shape.side * width;
  const Room<float> keys(parts == 1 ? 0 : problems * parts * size);
  const auto tables = at::empty({problems * parts, 2 * rows * width}, floats);
  const auto fill = at::empty({problems / shape.heads, shape.heads, 2, width}, floats);
  const auto qkv_slope = at::empty_like(qkv);
  const Maps<T> maps{qkv.const_data_ptr<T>(),
                     pad.const_data_ptr<T>(),
                     table_h.const_data_ptr<T>(),
                     table_w.const_data_ptr<T>(),
                     forward.out.const_data_ptr<T>(),
                     slope.const_data_ptr<T>(),
                     forward.lse.const_data_ptr<float>(),
                     qkv_slope.template mutable_data_ptr<T>(),
                     tables.template mutable_data_ptr<float>(),
                     fill.template mutable_data_ptr<float>()};
  parallel_for(0, problems * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    Backward<T> work(shape, maps, parts);
    const Room<float> own(parts == 1 ? size : 0);
    for (auto item = begin; item < end; ++item) {
      work.run(item / parts, item % parts, parts == 1 ? own : keys + item * size);
      if (parts == 1) finish<T>(shape, maps, item, 1, own);
    }
    release_multiply();
  });
  if (parts > 1) {
    parallel_for(0, problems, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto index = begin; index < end; ++index) finish<T>(shape, maps, index, parts, keys + index * parts * size);
    });
  }
  // In a fixed order, which at::sum does not promise.
  const auto in_order = [](const at::Tensor& terms) {
    auto total = terms[0].clone();
    for (std::int64_t i = 1; i < terms.size(0); ++i) total += terms[i];
    return total;
  };
  const auto table_slopes = in_order(tables).view({2, rows, width});
  const auto key_value = in_order(fill).transpose(0, 1).reshape({2 * shape.heads * width});
  return {qkv_slope, at::constant_pad_nd(key_value, {shape.heads * width, 0}).to(pad.scalar_type()), table_slopes[0],
          table_slopes[1]};
}

}  // namespace

GridAttentionSlopes attend_on_cpu_backward(const GridShape& shape, const at::Tensor& qkv, const at::Tensor& pad,
                                           const at::Tensor& table_h, const at::Tensor& table_w, const GridAttended& forward,
                                           const at::Tensor& slope) {
  return qkv.scalar_type() == at::kFloat ? backward<float>(shape, qkv, pad, table_h, table_w, forward, slope)
                                         : backward<at::BFloat16>(shape, qkv, pad, table_h, table_w, forward, slope);
}

}  // namespace cellsam::ops
