// The backward half of grid_attention_cpu.h.
#include <ATen/ATen.h>

#include <cmath>

#include "base/parallel.h"
#include "ops/attention_task.h"
#include "ops/grid_attention_cpu.h"

namespace cellsam::ops {
namespace {

// What all threads read and write. Gradients of the tables are summed in `tables` [tasks*parts,2,2*side-1,width], those of
// the row that fills windows up in `fill` [tasks,2,width].
template <class T>
struct Maps {
  const T *qkv, *pad, *table_h, *table_w, *out, *grad;
  const float* lse;
  T* qkv_grad;
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
        tokens_(shape.side * shape.side),
        even_tokens_(up_to_multiple(tokens_, 2)),
        channels_(shape.heads * shape.width),
        keys_(even_tokens_ * shape.width),
        values_(even_tokens_ * shape.width),
        keys_transposed_(even_tokens_ * shape.width),
        rows_(kQueryBlock * shape.width),
        queries_(kQueryBlock * shape.width),
        query_rows_(kQueryBlock * shape.width),
        out_grad_columns_(kQueryBlock * shape.width),
        out_grad_rows_(kQueryBlock * shape.width),
        out_rows_(kQueryBlock * shape.width),
        weights_(blocks_.largest() * kQueryBlock),
        score_grads_(blocks_.largest() * kQueryBlock),
        score_pairs_(blocks_.largest() * kQueryBlock),
        spread_rows_(2 * shape.side * kQueryBlock),
        spread_pairs_(2 * shape.side * kQueryBlock),
        tables_transposed_(4 * shape.side * shape.width),
        scores_(blocks_.largest() * kQueryBlock),
        weight_grads_(blocks_.largest() * kQueryBlock),
        products_(2 * shape.side * kQueryBlock),
        rel_h_(shape.side * kQueryBlock),
        rel_w_(shape.side * kQueryBlock),
        rel_h_grads_(shape.side * kQueryBlock),
        rel_w_grads_(shape.side * kQueryBlock),
        query_grads_(shape.width * kQueryBlock),
        transposed_(shape.width * kQueryBlock) {
    transpose_table(maps.table_h, tables_transposed_);
    transpose_table(maps.table_w, tables_transposed_ + 2 * shape.side * shape.width);
  }

  // One part of one task. key_grads [2,tokens,width]: the gradients of all its keys and values, the keys' not yet scaled.
  void run(std::int64_t index, std::int64_t part, float* key_grads) {
    const AttentionTask task(shape_, index);
    key_grads_ = key_grads;
    table_grads_ = maps_.tables + (index * parts_ + part) * 2 * (2 * shape_.side - 1) * shape_.width;
    std::fill(key_grads_, key_grads_ + 2 * tokens_ * shape_.width, 0.0F);
    std::fill(table_grads_, table_grads_ + 2 * (2 * shape_.side - 1) * shape_.width, 0.0F);
    task.gather_keys<T>(maps_.qkv, maps_.pad, 1, keys_);
    task.gather_keys<T>(maps_.qkv, maps_.pad, 2, values_);
    transpose(static_cast<T*>(keys_), even_tokens_, shape_.width, static_cast<T*>(keys_transposed_));
    const auto end = (part + 1) * task.blocks() / parts_;
    for (auto block = part * task.blocks() / parts_; block < end; ++block) block_backward(task, block * task.block);
  }

 private:
  // [2*side-1,width] -> [width,2*side], with a column of zeros: bf16 products want an even inner dimension.
  void transpose_table(const T* table, T* transposed) const {
    const auto rows = 2 * shape_.side - 1;
    for (std::int64_t c = 0; c < shape_.width; ++c) {
      for (std::int64_t row = 0; row < rows; ++row) transposed[c * (rows + 1) + row] = table[row * shape_.width + c];
      transposed[c * (rows + 1) + rows] = 0;
    }
  }

  // One block of queries against all keys.
  void block_backward(const AttentionTask& task, std::int64_t first) {
    const auto width = shape_.width, side = shape_.side, n = task.block;
    const auto count = std::min(n, task.queries() - first);
    if (count <= 0) return;
    const auto last = task.queries() - 1;
    const auto y = [&](std::int64_t i) { return std::min(first + i, last) / task.columns; };
    const auto x = [&](std::int64_t i) { return std::min(first + i, last) % task.columns; };

    task.gather<T>(maps_.grad, channels_, task.head * width, first, count, n, rows_);
    task.gather<T>(maps_.out, channels_, task.head * width, first, count, n, out_rows_);
    pack_columns(static_cast<T*>(rows_), n, width, static_cast<T*>(out_grad_columns_));
    pack_rows(static_cast<T*>(rows_), n, width, static_cast<T*>(out_grad_rows_));
    float lse[kQueryBlock], delta[kQueryBlock];
    for (std::int64_t i = 0; i < n; ++i) {
      lse[i] = i < count ? maps_.lse[task.index * tokens_ + first + i] : 0;
      delta[i] = 0;
      for (std::int64_t c = 0; c < width; ++c) {
        delta[i] += static_cast<float>(rows_[i * width + c]) * static_cast<float>(out_rows_[i * width + c]);
      }
    }
    task.gather<T>(maps_.qkv, 3 * channels_, task.head * width, first, count, n, rows_);
    pack_columns(static_cast<T*>(rows_), n, width, static_cast<T*>(queries_));
    pack_rows(static_cast<T*>(rows_), n, width, static_cast<T*>(query_rows_));
    relative_scores<T>(maps_.table_h, queries_, side, width, n, products_, rel_h_, y);
    relative_scores<T>(maps_.table_w, queries_, side, width, n, products_, rel_w_, x);

    std::fill(rel_h_grads_ + 0, rel_h_grads_ + side * n, 0.0F);
    std::fill(rel_w_grads_ + 0, rel_w_grads_ + side * n, 0.0F);
    for (std::int64_t top = 0; top < side; top += blocks_.rows) {
      keys_backward(kernels::ScoreBlock{scores_, rel_h_ + top * n, rel_w_, blocks_.height(top), side, n, scale()}, top, lse,
                    delta);
    }
    for (std::int64_t i = 0; i < width * n; ++i) query_grads_[i] *= scale();
    table_backward(rel_h_grads_, tables_transposed_, table_grads_, n, y);
    table_backward(rel_w_grads_, tables_transposed_ + 2 * side * width, table_grads_ + (2 * side - 1) * width, n, x);
    store_queries<T>(task, first, count, query_grads_, transposed_, rows_, 3 * channels_, task.head * width, maps_.qkv_grad);
  }

  // The scores once more, then everything that follows from them.
  void keys_backward(const kernels::ScoreBlock& block, std::int64_t top, const float* lse, const float* delta) {
    const auto width = shape_.width, keys = block.keys(), n = block.n, from = top * shape_.side;
    multiply(keys, n, width, keys_ + from * width, width, static_cast<T*>(queries_), block.scores);
    multiply(keys, n, width, values_ + from * width, width, static_cast<T*>(out_grad_columns_), weight_grads_);
    kernels::score_grads(block, lse, delta, weight_grads_, rel_h_grads_ + top * n, rel_w_grads_);
    const auto [p, d, pairs] = operands(keys, n);
    auto* to_values = key_grads_ + (tokens_ + from) * width;
    multiply(keys, width, n, p, n, static_cast<T*>(out_grad_rows_), to_values, true);
    multiply(keys, width, n, d, n, static_cast<T*>(query_rows_), key_grads_ + from * width, true);
    multiply(width, n, inner<T>(keys), keys_transposed_ + from, even_tokens_, pairs, static_cast<float*>(query_grads_),
             top > 0);
  }

  struct Operands {
    const T *p, *d, *pairs;
  };

  Operands operands(std::int64_t keys, std::int64_t n) {
    if constexpr (kIsBf16<T>) {
      kernels::bf16_rows(scores_, keys, n, bits(weights_));
      kernels::bf16_rows(weight_grads_, keys, n, bits(score_grads_));
      kernels::bf16_row_pairs(weight_grads_, keys, n, bits(score_pairs_));
      return {weights_, score_grads_, score_pairs_};
    } else {
      return {scores_, weight_grads_, weight_grads_};
    }
  }

  // One axis: its part of the gradient of the queries, and the gradient of its table.
  template <class Coordinate>
  void table_backward(const float* grads, const T* transposed, float* table_grads, std::int64_t n, Coordinate at) {
    const auto width = shape_.width, rows = 2 * shape_.side;
    spread_relative_grads(grads, shape_.side, n, products_, at);
    const T *spread, *pairs;
    if constexpr (kIsBf16<T>) {
      kernels::bf16_rows(products_, rows, n, bits(spread_rows_));
      kernels::bf16_row_pairs(products_, rows, n, bits(spread_pairs_));
      spread = spread_rows_, pairs = spread_pairs_;
    } else {
      spread = pairs = products_;
    }
    multiply(width, n, rows, transposed, rows, pairs, static_cast<float*>(query_grads_), true);
    multiply(rows - 1, width, n, spread, n, static_cast<T*>(query_rows_), table_grads, true);
  }

  float scale() const { return 1 / std::sqrt(static_cast<float>(shape_.width)); }

  const GridShape& shape_;
  const Maps<T>& maps_;
  const std::int64_t parts_;
  const KeyBlocks blocks_;
  const std::int64_t tokens_, even_tokens_, channels_;
  float *key_grads_ = nullptr, *table_grads_ = nullptr;
  Scratch<T> keys_, values_, keys_transposed_;
  // X_ and out_grad_columns_ are right-hand operands by columns, X_rows_ by rows (pack_columns and pack_rows).
  Scratch<T> rows_, queries_, query_rows_, out_grad_columns_, out_grad_rows_, out_rows_;
  Scratch<T> weights_, score_grads_, score_pairs_, spread_rows_, spread_pairs_, tables_transposed_;
  Scratch<float> scores_, weight_grads_, products_, rel_h_, rel_w_, rel_h_grads_, rel_w_grads_, query_grads_, transposed_;
};

// Sums the parts [parts,2,tokens,width] of a task and writes the gradients of its keys and values; those of filled-up tokens
// go to `fill`.
template <class T>
void finish(const GridShape& shape, const Maps<T>& maps, std::int64_t index, std::int64_t parts, float* grads) {
  const AttentionTask task(shape, index);
  const auto width = shape.width, size = 2 * shape.side * shape.side * width, channels = shape.heads * width;
  for (std::int64_t part = 1; part < parts; ++part) {
    for (std::int64_t i = 0; i < size; ++i) grads[i] += grads[part * size + i];
  }
  for (std::int64_t i = 0; i < size / 2; ++i) grads[i] *= 1 / std::sqrt(static_cast<float>(width));
  float* fill = maps.fill + index * 2 * width;
  std::fill(fill, fill + 2 * width, 0.0F);
  for (std::int64_t part = 0; part < 2; ++part, fill += width) {
    for (std::int64_t y = 0; y < shape.side; ++y) {
      for (std::int64_t x = 0; x < shape.side; ++x, grads += width) {
        if (y < task.rows && x < task.columns) {
          T* to = maps.qkv_grad + task.token(y, x) * 3 * channels + (1 + part) * channels + task.head * width;
          for (std::int64_t c = 0; c < width; ++c) to[c] = static_cast<T>(grads[c]);
        } else {
          for (std::int64_t c = 0; c < width; ++c) fill[c] += grads[c];
        }
      }
    }
  }
}

template <class T>
GridAttentionGrads backward(const GridShape& shape, const at::Tensor& qkv, const at::Tensor& pad, const at::Tensor& table_h,
                            const at::Tensor& table_w, const GridAttentionOutput& forward, const at::Tensor& grad) {
  const auto parts = parts_per_task(shape), tasks = shape.tasks(), width = shape.width, rows = 2 * shape.side - 1;
  const auto floats = qkv.options().dtype(at::kFloat);
  const auto size = 2 * shape.side * shape.side * width;
  const Scratch<float> keys(parts == 1 ? 0 : tasks * parts * size);
  const auto tables = at::empty({tasks * parts, 2 * rows * width}, floats);
  const auto fill = at::empty({tasks / shape.heads, shape.heads, 2, width}, floats);
  const auto qkv_grad = at::empty_like(qkv);
  const Maps<T> maps{qkv.const_data_ptr<T>(),
                     pad.const_data_ptr<T>(),
                     table_h.const_data_ptr<T>(),
                     table_w.const_data_ptr<T>(),
                     forward.out.const_data_ptr<T>(),
                     grad.const_data_ptr<T>(),
                     forward.lse.const_data_ptr<float>(),
                     qkv_grad.template mutable_data_ptr<T>(),
                     tables.template mutable_data_ptr<float>(),
                     fill.template mutable_data_ptr<float>()};
  parallel_for(0, tasks * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    Backward<T> work(shape, maps, parts);
    const Scratch<float> scratch(parts == 1 ? size : 0);
    for (auto item = begin; item < end; ++item) {
      work.run(item / parts, item % parts, parts == 1 ? scratch : keys + item * size);
      if (parts == 1) finish<T>(shape, maps, item, 1, scratch);
    }
    release_multiply();
  });
  if (parts > 1) {
    parallel_for(0, tasks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto index = begin; index < end; ++index) finish<T>(shape, maps, index, parts, keys + index * parts * size);
    });
  }
  // In a fixed order, which at::sum does not promise.
  const auto in_order = [](const at::Tensor& terms) {
    auto total = terms[0].clone();
    for (std::int64_t i = 1; i < terms.size(0); ++i) total += terms[i];
    return total;
  };
  const auto table_grads = in_order(tables).view({2, rows, width});
  const auto key_value = in_order(fill).transpose(0, 1).reshape({2 * shape.heads * width});
  return {qkv_grad, at::constant_pad_nd(key_value, {shape.heads * width, 0}).to(pad.scalar_type()), table_grads[0],
          table_grads[1]};
}

}  // namespace

GridAttentionGrads attend_on_cpu_backward(const GridShape& shape, const at::Tensor& qkv, const at::Tensor& pad,
                                          const at::Tensor& table_h, const at::Tensor& table_w,
                                          const GridAttentionOutput& forward, const at::Tensor& grad) {
  return qkv.scalar_type() == at::kFloat ? backward<float>(shape, qkv, pad, table_h, table_w, forward, grad)
                                         : backward<at::BFloat16>(shape, qkv, pad, table_h, table_w, forward, grad);
}

}  // namespace cellsam::ops
