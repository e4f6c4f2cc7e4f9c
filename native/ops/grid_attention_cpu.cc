#include "ops/grid_attention_cpu.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "base/parallel.h"
#include "ops/attention_task.h"

namespace cellsam::ops {
namespace {

void exponentials_to(const kernels::ScoreBlock& block, const float* largest, float* sums, float* out) {
  kernels::exponentials(block, largest, sums, out);
}
void exponentials_to(const kernels::ScoreBlock& block, const float* largest, float* sums, at::BFloat16* out) {
  kernels::exponentials(block, largest, sums, bits(out));
}

template <class T>
class Forward {
 public:
  Forward(const GridShape& shape, const T* qkv, const T* pad, const T* table_h, const T* table_w, T* out, float* lse)
      : shape_(shape),
        blocks_(shape.side),
        tokens_(shape.side * shape.side),
        qkv_(qkv),
        pad_(pad),
        table_h_(table_h),
        table_w_(table_w),
        out_(out),
        lse_(lse),
        keys_(up_to_multiple(tokens_, 2) * shape.width),
        gathered_(std::max(up_to_multiple(tokens_, 2), kQueryBlock) * shape.width),
        values_(up_to_multiple(tokens_, 2) * shape.width),
        queries_(kQueryBlock * shape.width),
        scores_(blocks_.largest() * kQueryBlock),
        weights_(blocks_.largest() * kQueryBlock),
        products_(2 * shape.side * kQueryBlock),
        rel_h_(shape.side * kQueryBlock),
        rel_w_(shape.side * kQueryBlock),
        mixed_(shape.width * kQueryBlock),
        transposed_(shape.width * kQueryBlock) {}

  void run(std::int64_t index, std::int64_t part, std::int64_t parts) {
    const AttentionTask task(shape_, index);
    const auto begin = part * task.blocks() / parts, end = (part + 1) * task.blocks() / parts;
    if (begin == end) return;
    task.gather_keys<T>(qkv_, pad_, 2, gathered_);
    transpose(static_cast<T*>(gathered_), up_to_multiple(tokens_, 2), shape_.width, static_cast<T*>(values_));
    task.gather_keys<T>(qkv_, pad_, 1, keys_);
    for (auto block = begin; block < end; ++block) attend(task, block * task.block);
  }

 private:
  void attend(const AttentionTask& task, std::int64_t first) {
    const auto width = shape_.width, side = shape_.side, n = task.block;
    const auto count = std::min(n, task.queries() - first);
    if (count <= 0) return;
    task.gather<T>(qkv_, 3 * shape_.heads * width, task.head * width, first, count, n, gathered_);
    pack_columns(static_cast<T*>(gathered_), n, width, static_cast<T*>(queries_));
    const auto last = task.queries() - 1;
    relative_scores<T>(table_h_, queries_, side, width, n, products_, rel_h_,
                       [&](std::int64_t i) { return std::min(first + i, last) / task.columns; });
    relative_scores<T>(table_w_, queries_, side, width, n, products_, rel_w_,
                       [&](std::int64_t i) { return std::min(first + i, last) % task.columns; });

    float largest[kQueryBlock], before[kQueryBlock], sums[kQueryBlock];
    std::fill(largest, largest + n, -std::numeric_limits<float>::infinity());
    std::fill(sums, sums + n, 0.0F);
    for (std::int64_t top = 0; top < side; top += blocks_.rows) {
      const kernels::ScoreBlock block{scores_, rel_h_ + top * n, rel_w_, blocks_.height(top), side, n, scale()};
      multiply(block.keys(), n, width, keys_ + top * side * width, width, static_cast<T*>(queries_), block.scores);
      std::copy(largest, largest + n, before);
      kernels::add_positions(block, largest);
      if (top > 0) {  // what stands so far was relative to a smaller maximum
        for (std::int64_t i = 0; i < n; ++i) before[i] = std::exp(before[i] - largest[i]);
        kernels::scale_rows(sums, 1, n, before);
        kernels::scale_rows(mixed_, width, n, before);
      }
      exponentials_to(block, largest, sums, static_cast<T*>(weights_));
      multiply(width, n, inner<T>(block.keys()), values_ + top * side, up_to_multiple(tokens_, 2), static_cast<T*>(weights_),
               mixed_, top > 0);
    }
    for (std::int64_t i = 0; i < count; ++i) lse_[task.index * tokens_ + first + i] = largest[i] + std::log(sums[i]);
    for (std::int64_t i = 0; i < n; ++i) sums[i] = 1 / sums[i];
    kernels::scale_rows(mixed_, width, n, sums);
    store_queries<T>(task, first, count, mixed_, transposed_, gathered_, shape_.heads * width, task.head * width, out_);
  }

  float scale() const { return 1 / std::sqrt(static_cast<float>(shape_.width)); }

  const GridShape& shape_;
  const KeyBlocks blocks_;
  const std::int64_t tokens_;
  const T *qkv_, *pad_, *table_h_, *table_w_;
  T* out_;
  float* lse_;
  Scratch<T> keys_, gathered_, values_, queries_;
  Scratch<float> scores_;
  Scratch<T> weights_;
  Scratch<float> products_, rel_h_, rel_w_, mixed_, transposed_;
};

template <class T>
GridAttentionOutput attend(const GridShape& shape, const at::Tensor& qkv, const at::Tensor& pad, const at::Tensor& table_h,
                           const at::Tensor& table_w) {
  const auto tokens = shape.side * shape.side, parts = parts_per_task(shape);
  GridAttentionOutput result{at::empty({shape.batch, shape.grid, shape.grid, shape.heads * shape.width}, qkv.options()),
                             at::empty({shape.tasks(), tokens}, qkv.options().dtype(at::kFloat))};
  parallel_for(0, shape.tasks() * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    Forward<T> forward(shape, qkv.const_data_ptr<T>(), pad.const_data_ptr<T>(), table_h.const_data_ptr<T>(),
                       table_w.const_data_ptr<T>(), result.out.template mutable_data_ptr<T>(),
                       result.lse.template mutable_data_ptr<float>());
    for (auto item = begin; item < end; ++item) forward.run(item / parts, item % parts, parts);
    release_multiply();
  });
  return result;
}

}  // namespace

bool can_attend_on_cpu(const GridShape& shape, at::ScalarType type) { return shape.width % 2 == 0 && can_multiply(type); }

GridAttentionOutput attend_on_cpu(const GridShape& shape, const at::Tensor& qkv, const at::Tensor& pad,
                                  const at::Tensor& table_h, const at::Tensor& table_w) {
  return qkv.scalar_type() == at::kFloat ? attend<float>(shape, qkv, pad, table_h, table_w)
                                         : attend<at::BFloat16>(shape, qkv, pad, table_h, table_w);
}

}  // namespace cellsam::ops
