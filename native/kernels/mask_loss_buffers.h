// The working memory of mask_loss_rows.h: a few padded rows that stay in the nearest caches, and the low-resolution gradient
// maps. Compiled once per instruction set. So everything stays in the file that includes it, and nothing with code comes from
// the standard library: the linker could take an inline function of an AVX-512 file for everybody.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/mask_loss_kernel.h"

namespace cellsam::kernels {
namespace {

// Hands out pieces of one allocation; with null memory it only adds up how much is needed.
class MaskArena {
 public:
  explicit MaskArena(std::byte* memory) : memory_(memory) {}

  template <class T>
  T* take(std::int64_t count) {
    const auto begin = used_;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + begin);
  }

  template <class T>
  T* take_padded(std::int64_t width, std::int64_t pad) {
    T* row = take<T>(width + 2 * pad);
    return row == nullptr ? nullptr : row + pad;
  }

  void clear() const { __builtin_memset(memory_, 0, used_); }  // what was taken until now
  std::size_t used() const { return used_; }

 private:
  std::byte* memory_;
  std::size_t used_ = 0;
};

// The newest rows of a map. Row -1 and the row after the last are zeros, as are `pad` numbers before and after each row.
template <class T>
class RowRing {
 public:
  RowRing(MaskArena& arena, std::int64_t rows, std::int64_t width, std::int64_t pad, std::int64_t height)
      : rows_(rows), stride_(width + 2 * pad), pad_(pad), height_(height), memory_(arena.take<T>((rows + 1) * stride_)) {}

  T* operator()(std::int64_t row) const {
    const auto place = row < 0 || row >= height_ ? rows_ : row % rows_;
    return memory_ + place * stride_ + pad_;
  }

 private:
  std::int64_t rows_, stride_, pad_, height_;
  T* memory_;
};

// Vectors [first, end) of a row that hold something.
struct Extent {
  std::int64_t first = 0, end = 0;

  bool empty() const { return first >= end; }
  void add(std::int64_t vector) {
    if (empty()) first = vector;
    end = vector + 1;
  }
  void add(const Extent& other) {
    if (other.empty()) return;
    if (empty()) {
      *this = other;
      return;
    }
    first = first < other.first ? first : other.first;
    end = end > other.end ? end : other.end;
  }
};

}  // namespace
}  // namespace cellsam::kernels
