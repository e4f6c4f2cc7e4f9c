// What forward and backward of grid_attention_cpu.h share. An AttentionTask is one of its independent attentions, the tokens of
// one window of one image, seen by one head: it knows where its rows lie in the maps [B,g,g,channels] and copies them to and
// fro. Then the blocks of queries and keys that a task is cut into, and the relative positions of a block. docs/math.md
// section 3.3.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/score_rows.h"
#include "ops/grid_shape.h"
#include "ops/small_matmul.h"

namespace cellsam::ops {

constexpr std::int64_t kQueryBlock = 128, kKeyBlock = 256;  // scores of one block: 128 KB, which the second cache holds

inline std::int64_t up_to_multiple(std::int64_t n, std::int64_t of) { return (n + of - 1) / of * of; }

template <class T>
constexpr bool kIsBf16 = std::is_same_v<T, at::BFloat16>;

// The inner dimension of a product over `count` rows.
template <class T>
constexpr std::int64_t inner(std::int64_t count) {
  return kIsBf16<T> ? up_to_multiple(count, 2) : count;
}

inline std::uint16_t* bits(at::BFloat16* values) { return reinterpret_cast<std::uint16_t*>(values); }

// Uninitialised memory of one thread, aligned for vectors.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t size) : memory_(c10::GetCPUAllocator()->allocate(static_cast<std::size_t>(size) * sizeof(T))) {}
  operator T*() const { return static_cast<T*>(memory_.get()); }

 private:
  at::DataPtr memory_;
};

struct AttentionTask {
  AttentionTask(const GridShape& shape, std::int64_t index) : shape(shape), index(index) {
    const auto windows = shape.windows();
    head = index % shape.heads;
    left = index / shape.heads % windows * shape.side;
    top = index / shape.heads / windows % windows * shape.side;
    image = index / shape.heads / windows / windows;
    rows = std::min(shape.side, shape.grid - top);
    columns = std::min(shape.side, shape.grid - left);
    block = up_to_multiple((queries() + blocks() - 1) / blocks(), 16);
  }

  std::int64_t queries() const { return rows * columns; }  // tokens of the map; those that fill windows up ask nothing
  std::int64_t blocks() const { return (queries() + kQueryBlock - 1) / kQueryBlock; }
  std::int64_t token(std::int64_t y, std::int64_t x) const { return (image * shape.grid + top + y) * shape.grid + left + x; }

  // The rows [padded,width] of queries first .. first+count-1, from a map of `channels` channels, of which those of the head
  // begin at `offset`. Rows from `count` on are zeros.
  template <class T>
  void gather(const T* map, std::int64_t channels, std::int64_t offset, std::int64_t first, std::int64_t count,
              std::int64_t padded, T* out) const {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto query = first + i;
      std::memcpy(out + i * shape.width, map + token(query / columns, query % columns) * channels + offset,
                  static_cast<std::size_t>(shape.width) * sizeof(T));
    }
    std::memset(out + count * shape.width, 0, static_cast<std::size_t>((padded - count) * shape.width) * sizeof(T));
  }

  template <class T>
  void scatter(const T* rows_in, std::int64_t channels, std::int64_t offset, std::int64_t first, std::int64_t count,
               T* map) const {
    for (std::int64_t i = 0; i < count; ++i) {
      const auto query = first + i;
      std::memcpy(map + token(query / columns, query % columns) * channels + offset, rows_in + i * shape.width,
                  static_cast<std::size_t>(shape.width) * sizeof(T));
    }
  }

  // The rows of all keys (part 1) or values (part 2), those outside the map from `pad`; a last row of zeros makes them even.
  template <class T>
  void gather_keys(const T* qkv, const T* pad, std::int64_t part, T* out) const {
    const auto channels = shape.heads * shape.width, offset = part * channels + head * shape.width;
    const auto bytes = static_cast<std::size_t>(shape.width) * sizeof(T);
    for (std::int64_t y = 0; y < shape.side; ++y) {
      for (std::int64_t x = 0; x < shape.side; ++x, out += shape.width) {
        std::memcpy(out, y < rows && x < columns ? qkv + token(y, x) * 3 * channels + offset : pad + offset, bytes);
      }
    }
    if (shape.side % 2 == 1) std::memset(out, 0, bytes);
  }

  const GridShape& shape;
  std::int64_t index, head, left, top, image, rows, columns, block;  // block: queries of one block, a multiple of 16
};

// How the keys of a task are cut: whole rows of the grid, an even number of keys where possible.
struct KeyBlocks {
  explicit KeyBlocks(std::int64_t side) : side(side), rows(std::clamp<std::int64_t>(kKeyBlock / side, 1, side)) {
    if (side % 2 == 1 && rows > 1 && rows < side) rows -= rows % 2;
  }
  std::int64_t height(std::int64_t top) const { return std::min(rows, side - top); }
  std::int64_t largest() const { return up_to_multiple(rows * side, 2); }

  std::int64_t side, rows;
};

// What the relative positions add to the scores of a block of n queries, along one axis: [side (key),n], out of the products of
// all 2*side-1 rows of the table with the queries. `at` is a query's own coordinate on that axis.
template <class T, class Coordinate>
void relative_scores(const T* table, const T* queries, std::int64_t side, std::int64_t width, std::int64_t n, float* products,
                     float* out, Coordinate at) {
  multiply(2 * side - 1, n, width, table, width, queries, products);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto* from = products + (at(i) + side - 1) * n + i;
    for (std::int64_t key = 0; key < side; ++key) out[key * n + i] = from[-key * n];
  }
}

// The transpose of relative_scores, for gradients: [side,n] -> [2*side,n], whose last row is zero.
template <class Coordinate>
void spread_relative_grads(const float* grads, std::int64_t side, std::int64_t n, float* out, Coordinate at) {
  std::fill(out, out + 2 * side * n, 0.0F);
  for (std::int64_t i = 0; i < n; ++i) {
    auto* to = out + (at(i) + side - 1) * n + i;
    for (std::int64_t key = 0; key < side; ++key) to[-key * n] = grads[key * n + i];
  }
}

// Writes a block [width,n] of float32 to the rows of its queries in a map. transposed and rounded [n,width] are scratch.
template <class T>
void store_queries(const AttentionTask& task, std::int64_t first, std::int64_t count, const float* block, float* transposed,
                   T* rounded, std::int64_t channels, std::int64_t offset, T* map) {
  transpose(block, task.shape.width, task.block, transposed);
  if constexpr (kIsBf16<T>) {
    kernels::bf16_rows(transposed, count, task.shape.width, bits(rounded));
    task.scatter<T>(rounded, channels, offset, first, count, map);
  } else {
    task.scatter<T>(transposed, channels, offset, first, count, map);
  }
}

// Tasks are cut into parts of whole query blocks where there are few, so that every thread finds work. The number of parts
// never depends on the number of threads: sums would come out different.
inline std::int64_t parts_per_task(const GridShape& shape) {
  constexpr std::int64_t kEnough = 32;
  const auto blocks = (shape.side * shape.side + kQueryBlock - 1) / kQueryBlock;
  return std::min(blocks, (kEnough + shape.tasks() - 1) / shape.tasks());
}

}  // namespace cellsam::ops
