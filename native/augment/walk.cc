// Everything here moves 16 bytes at once, in the compiler's own vectors: their shuffles are single instructions on every
// machine that the package is built for, without a choice at run time.
#include "augment/walk.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

namespace cellsam::augment {
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

// a0 b0 a1 b1 ... from the lower halves, or (`upper`) from the upper ones.
template <bool upper, class T, std::size_t... i>
Vector<T> interleave(Vector<T> a, Vector<T> b, std::index_sequence<i...>) {
  constexpr std::size_t lanes = sizeof...(i), first = upper ? lanes / 2 : 0;
  return __builtin_shufflevector(a, b, (i % 2 * lanes + i / 2 + first)...);
}

// to[x][y] = from[y][x] for a square of kLanes pixels a side. Interleaving line i with line i + lanes / 2 turns the index of a
// pixel (line, column) by one bit: after log2(lanes) times lines and columns have changed places.
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
  if constexpr (sizeof(T) == 1) {  // a shuffle of bytes is no single instruction of the oldest x86
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

// Rows become columns: square by square of whole cache lines, so that a line that is touched is used up while it is near.
template <class T>
void turn(const T* from, T* to, const Walk& walk) {
  constexpr std::int64_t lanes = kLanes<T>, square = 64 / sizeof(T);
  const auto whole_height = walk.height / lanes * lanes, whole_width = walk.width / lanes * lanes;
  for (std::int64_t top = 0; top < whole_height; top += square) {
    for (std::int64_t left = 0; left < whole_width; left += square) {
      for (auto y = top; y < std::min(top + square, whole_height); y += lanes) {
        // Source lines that run backwards come out as rows from the bottom up.
        const auto bottom = y + lanes - 1;
        const T* lines = from + (walk.row_step > 0 ? y : bottom) * walk.row_step;
        T* rows = to + (walk.row_step > 0 ? y : bottom) * walk.width;
        for (auto x = left; x < std::min(left + square, whole_width); x += lanes) {
          transpose(lines + x * walk.column_step, walk.column_step, rows + x, walk.row_step * walk.width);
        }
      }
    }
  }
  for (std::int64_t y = 0; y < walk.height; ++y) {
    const T* row = from + y * walk.row_step;
    for (auto x = y < whole_height ? whole_width : 0; x < walk.width; ++x) to[y * walk.width + x] = row[x * walk.column_step];
  }
}

template <class T>
void gather_plane(const T* from, T* to, const Walk& walk) {
  from += walk.start;
  if (walk.column_step != 1 && walk.column_step != -1) return turn(from, to, walk);
  for (std::int64_t y = 0; y < walk.height; ++y, from += walk.row_step, to += walk.width) {
    if (walk.column_step == 1) {
      std::copy_n(from, walk.width, to);
    } else {
      reverse(from, to, walk.width);
    }
  }
}

}  // namespace

void gather(const std::uint8_t* from, std::uint8_t* to, const Walk& walk) { gather_plane(from, to, walk); }
void gather(const std::int32_t* from, std::int32_t* to, const Walk& walk) { gather_plane(from, to, walk); }

}  // namespace cellsam::augment
