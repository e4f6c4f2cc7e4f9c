// Moves 16 bytes at once, in the compiler's own vector types: their shuffles are single instructions on every processor that
// the package is built for, so that no instruction set has to be chosen at run time.
#include "kernels/strided_copy.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

namespace cellsam::kernels {
namespace {

template <class T>
using Vector __attribute__((vector_size(16))) = T;
template <class T>
constexpr std::int64_t kLanes = 16 / sizeof(T);

template <class T>
Vector<T> load(const T* from) {
  Vector<T> vector;
  std::memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <class T>
void store(T* to, Vector<T> vector) {
  std::memcpy(to, &vector, sizeof(vector));
}

// a0 b0 a1 b1 ... of the lower halves of a and b, or, with `upper`, of their upper halves.
template <bool upper, class T, std::size_t... i>
Vector<T> interleave(Vector<T> a, Vector<T> b, std::index_sequence<i...>) {
  constexpr std::size_t lanes = sizeof...(i), first = upper ? lanes / 2 : 0;
  return __builtin_shufflevector(a, b, (i % 2 * lanes + i / 2 + first)...);
}

// to[x][y] = from[y][x] for a square of kLanes pixels a side. Interleaving line i with line i + lanes / 2 rotates the bits of a
// pixel's index (line, column) by one: after log2(lanes) rounds lines and columns are exchanged.
template <class T>
void transpose(const T* from, std::int64_t from_step, T* to, std::int64_t to_step) {
  constexpr auto lanes = kLanes<T>;
  constexpr auto sequence = std::make_index_sequence<lanes>();
  Vector<T> lines[lanes], mixed[lanes];
#pragma GCC unroll 16
  for (std::int64_t i = 0; i < lanes; ++i) lines[i] = load(from + i * from_step);
#pragma GCC unroll 4
  for (std::int64_t round = 1; round < lanes; round *= 2) {
#pragma GCC unroll 8
    for (std::int64_t i = 0; i < lanes / 2; ++i) {
      mixed[2 * i] = interleave<false, T>(lines[i], lines[i + lanes / 2], sequence);
      mixed[2 * i + 1] = interleave<true, T>(lines[i], lines[i + lanes / 2], sequence);
    }
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < lanes; ++i) lines[i] = mixed[i];
  }
#pragma GCC unroll 16
  for (std::int64_t i = 0; i < lanes; ++i) store<T>(to + i * to_step, lines[i]);
}

// to[i] = last[-i]
template <class T>
void reverse(const T* last, T* to, std::int64_t count) {
  std::int64_t i = 0;
  if constexpr (sizeof(T) == 1) {  // the oldest x86 processors have no instruction that shuffles bytes
    for (; i + 8 <= count; i += 8) {
      std::uint64_t eight;
      std::memcpy(&eight, last - i - 7, 8);
      eight = __builtin_bswap64(eight);
      std::memcpy(to + i, &eight, 8);
    }
  } else {
    for (; i + 4 <= count; i += 4) {
      const auto four = load(last - i - 3);
      store<T>(to + i, __builtin_shufflevector(four, four, 3, 2, 1, 0));
    }
  }
  for (; i < count; ++i) to[i] = last[-i];
}

// Exchanges rows and columns, in squares of whole cache lines, so that a line is used completely while it is in the cache.
template <class T>
void transpose_plane(const T* from, T* to, const StridedPlane& plane) {
  constexpr std::int64_t lanes = kLanes<T>, square = 64 / sizeof(T);
  const auto whole_height = plane.height / lanes * lanes, whole_width = plane.width / lanes * lanes;
  for (std::int64_t top = 0; top < whole_height; top += square) {
    for (std::int64_t left = 0; left < whole_width; left += square) {
      for (auto y = top; y < std::min(top + square, whole_height); y += lanes) {
        // Source lines that are read backwards become rows from the bottom up.
        const auto bottom = y + lanes - 1;
        const T* lines = from + (plane.row_step > 0 ? y : bottom) * plane.row_step;
        T* rows = to + (plane.row_step > 0 ? y : bottom) * plane.width;
        for (auto x = left; x < std::min(left + square, whole_width); x += lanes) {
          transpose(lines + x * plane.column_step, plane.column_step, rows + x, plane.row_step * plane.width);
        }
      }
    }
  }
  for (std::int64_t y = 0; y < plane.height; ++y) {
    const T* row = from + y * plane.row_step;
    for (auto x = y < whole_height ? whole_width : 0; x < plane.width; ++x)
      to[y * plane.width + x] = row[x * plane.column_step];
  }
}

template <class T>
void copy_plane(const T* from, T* to, const StridedPlane& plane) {
  from += plane.start;
  if (plane.column_step != 1 && plane.column_step != -1) return transpose_plane(from, to, plane);
  for (std::int64_t y = 0; y < plane.height; ++y, from += plane.row_step, to += plane.width) {
    if (plane.column_step == 1) {
      std::copy_n(from, plane.width, to);
    } else {
      reverse(from, to, plane.width);
    }
  }
}

}  // namespace

void strided_copy(const std::uint8_t* from, std::uint8_t* to, const StridedPlane& plane) { copy_plane(from, to, plane); }
void strided_copy(const std::int32_t* from, std::int32_t* to, const StridedPlane& plane) { copy_plane(from, to, plane); }
void strided_copy(const float* from, float* to, const StridedPlane& plane) { copy_plane(from, to, plane); }

}  // namespace cellsam::kernels
