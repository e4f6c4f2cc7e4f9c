// What the lane kernels are made of: vectors, the two kinds of operands, one matrix micro-kernel, packing, and exp2. Included
// once per instruction set, after LANES (floats per vector) and LANE_TILE (rows of a register tile) are set. Nothing here may
// leave the including file, so there is no standard header with code in it: another file could run that code elsewhere.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/attention_kernels.h"

namespace cellsam::kernels::lanes {
namespace {

constexpr std::int64_t kLanes = LANES, kTile = LANE_TILE;
constexpr std::int64_t kVectors = 3;                              // vectors of queries side by side
constexpr std::int64_t kBlock = kVectors * kLanes;                // queries of a block
constexpr std::int64_t kRound = kLanes > kTile ? kLanes : kTile;  // widths are padded to this with zeros

using Vec = float __attribute__((vector_size(4 * LANES)));
typedef float LooseVec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));  // clang drops `aligned` after `using`
using IntVec = std::int32_t __attribute__((vector_size(4 * LANES)));

inline Vec load(const float* from) { return *reinterpret_cast<const LooseVec*>(from); }
inline void store(float* to, Vec x) { *reinterpret_cast<LooseVec*>(to) = x; }
// Through integers: the bits of a word of two bfloat16 may look like a number that arithmetic would alter.
inline Vec splat(float x) {
  std::int32_t bits;
  std::memcpy(&bits, &x, 4);
  return (Vec)(bits - IntVec{});
}
// a where it is larger, else b: also where one of them is NaN.
inline Vec max(Vec a, Vec b) {
#if LANES == 16
  return (Vec)_mm512_max_ps((__m512)a, (__m512)b);
#else
  return (Vec)_mm256_max_ps((__m256)a, (__m256)b);
#endif
}
inline std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// Operands are arrays of 32-bit words: a float, or two bfloat16 that follow each other along the summed axis.
struct Floats {
  static constexpr std::int64_t kStep = 1;  // summed elements of a word
  static constexpr int kTerms = 6;          // of exp2's polynomial
  static Vec mac(Vec sum, Vec a, Vec b) { return sum + a * b; }
  static void pair(float* to, Vec low, Vec) { store(to, low); }
  static void halve(float* to, Vec x) { store(to, x); }
};

#ifdef __AVX512BF16__
struct Pairs {
  static constexpr std::int64_t kStep = 2;
  static constexpr int kTerms = 4;
  static Vec mac(Vec sum, Vec a, Vec b) { return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
  static __m256i narrow(Vec x) { return (__m256i)_mm512_cvtneps_pbh((__m512)x); }
  // Words (low[i], high[i]).
  static void pair(float* to, Vec low, Vec high) {
    const __m512i upper = _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow(high)), 16);
    _mm512_storeu_si512(to, _mm512_or_si512(_mm512_cvtepu16_epi32(narrow(low)), upper));
  }
  // kLanes/2 words (x[2i], x[2i+1]).
  static void halve(float* to, Vec x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(x)); }
};
#endif

template <class Op>
std::int64_t words(std::int64_t count) {
  return (count + Op::kStep - 1) / Op::kStep;
}

// sum[m][.] += over k of a[m*row + k*step] * b[k*width + .], `count` words deep, in registers.
template <class Op, int N>
__attribute__((always_inline)) inline void multiply(Vec (&sum)[kTile][N], const float* a, std::int64_t row, std::int64_t step,
                                                    const float* b, std::int64_t width, std::int64_t count) {
  for (std::int64_t k = 0; k < count; ++k, a += step, b += width) {
    Vec right[N];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) right[j] = load(b + j * kLanes);
#pragma GCC unroll 8
    for (int m = 0; m < kTile; ++m) {
      const Vec left = splat(a[m * row]);
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) sum[m][j] = Op::mac(sum[m][j], left, right[j]);
    }
  }
}

// c[rows][width] (+)= a . b for rows % kTile == 0, N vectors of columns.
template <class Op, int N, bool kAdd>
void product(float* c, std::int64_t width, std::int64_t rows, const float* a, std::int64_t row, std::int64_t step,
             const float* b, std::int64_t b_width, std::int64_t count) {
  for (std::int64_t m0 = 0; m0 < rows; m0 += kTile) {
    Vec sum[kTile][N] = {};
    multiply<Op, N>(sum, a + m0 * row, row, step, b, b_width, count);
#pragma GCC unroll 8
    for (int m = 0; m < kTile; ++m) {
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) {
        float* to = c + (m0 + m) * width + j * kLanes;
        store(to, kAdd ? load(to) + sum[m][j] : sum[m][j]);
      }
    }
  }
}

// The same for any width that is a multiple of kLanes.
template <class Op>
void product_add(float* c, std::int64_t width, std::int64_t rows, const float* a, std::int64_t row, std::int64_t step,
                 const float* b, std::int64_t count) {
  std::int64_t column = 0;
  for (; column + 2 * kLanes <= width; column += 2 * kLanes) {
    product<Op, 2, true>(c + column, width, rows, a, row, step, b + column, width, count);
  }
  if (column < width) product<Op, 1, true>(c + column, width, rows, a, row, step, b + column, width, count);
}

// `count` rows of `dim` elements as floats [count][width], the rest zero.
inline void read_rows(float* to, std::int64_t width, const Rows& rows, std::int64_t first, std::int64_t count, std::int64_t dim,
                      std::int64_t row_step = 1) {
  for (std::int64_t r = 0; r < count; ++r, to += width) {
    const std::int64_t at = (first + r * row_step) * rows.stride;
    if (rows.half) {
      const std::uint16_t* from = static_cast<const std::uint16_t*>(rows.data) + at;
      for (std::int64_t i = 0; i < dim; ++i) {
        const std::uint32_t bits = static_cast<std::uint32_t>(from[i]) << 16;
        std::memcpy(to + i, &bits, 4);
      }
    } else {
      std::memcpy(to, static_cast<const float*>(rows.data) + at, dim * sizeof(float));
    }
    for (std::int64_t i = dim; i < width; ++i) to[i] = 0;
  }
}

inline std::uint16_t to_half(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return x == x ? static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) : 0x7fc0;
}

inline void write_row(const Rows& rows, std::int64_t row, const float* from, std::int64_t dim, std::int64_t step = 1) {
  if (rows.half) {
    std::uint16_t* to = static_cast<std::uint16_t*>(rows.data) + row * rows.stride;
    for (std::int64_t i = 0; i < dim; ++i) to[i] = to_half(from[i * step]);
  } else {
    float* to = static_cast<float*>(rows.data) + row * rows.stride;
    for (std::int64_t i = 0; i < dim; ++i) to[i] = from[i * step];
  }
}

// Floats [count][width] to words along the rows: [words(count)][width], or along the columns: [count][words(width)].
template <class Op>
void pack_down(float* to, const float* from, std::int64_t count, std::int64_t width) {
  for (std::int64_t r = 0; r < count; r += Op::kStep, from += Op::kStep * width, to += width) {
    const bool alone = Op::kStep == 1 || r + 1 == count;
    for (std::int64_t i = 0; i < width; i += kLanes) Op::pair(to + i, load(from + i), alone ? Vec{} : load(from + width + i));
  }
}
template <class Op>
void pack_along(float* to, const float* from, std::int64_t count, std::int64_t width) {
  for (std::int64_t i = 0; i < count * width; i += kLanes) Op::halve(to + i / Op::kStep, load(from + i));
}

// Floats [kBlock][width] to [width][kBlock].
inline void turn(float* to, const float* from, std::int64_t width) {
  for (std::int64_t i = 0; i < width; ++i) {
    for (std::int64_t q = 0; q < kBlock; ++q) to[i * kBlock + q] = from[q * width + i];
  }
}

// Queries [first, first+count) as the right operand [deep][kBlock]; `rows` keeps them as floats [kBlock][dim].
template <class Op>
void read_block(float* to, float* rows, float* turned, const Rows& from, std::int64_t first, std::int64_t count,
                std::int64_t dim, std::int64_t padded) {
  read_rows(rows, padded, from, first, count, dim);
  std::memset(rows + count * padded, 0, (kBlock - count) * padded * sizeof(float));
  turn(turned, rows, padded);
  pack_down<Op>(to, turned, padded, kBlock);
}

// 2^f for |f| <= 0.5.
template <class Op>
inline Vec exp2_fraction(Vec f) {
  Vec sum = splat(Op::kTerms > 4 ? 1.5403530e-4f : 9.6181291e-3f);
  if (Op::kTerms > 4) sum = (sum * f + 1.3333558e-3f) * f + 9.6181291e-3f;
  sum = ((sum * f + 5.5504109e-2f) * f + 2.4022651e-1f) * f + 6.9314718e-1f;
  return sum * f + 1.0f;
}

// 2^x for x up to about 0. NaN stays NaN: a broken activation must be seen further on.
template <class Op>
inline Vec exp2(Vec x) {
  x = max(splat(-126.0f), x);
#if LANES == 16
  const __m512 whole = _mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return (Vec)_mm512_scalef_ps((__m512)exp2_fraction<Op>(x - (Vec)whole), whole);
#else
  const Vec shifted = x + 12582912.0f;  // 1.5 * 2^23: rounds, and leaves the integer in the low bits
  const Vec power = (Vec)(((IntVec)shifted + (127 - 0x4B400000)) << 23);
  return exp2_fraction<Op>(x - (shifted - 12582912.0f)) * power;
#endif
}

constexpr float kLog2E = 1.44269504f;

}  // namespace
}  // namespace cellsam::kernels::lanes
