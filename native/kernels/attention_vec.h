// What the attention kernels are made of: a block of queries in vector registers, two kinds of operands (float32, or bf16 with
// float32 sums), one matrix micro-kernel, and the packing of operands. Included once per instruction set, after VECTOR_FLOATS
// (floats of a vector) and TILE_ROWS (rows of a tile of sums in registers) are set.
//
// An operand is an array of 32-bit words: a float, or two bf16 numbers that follow each other along the summed axis. A matrix
// [rows,columns] is packed for sums over its rows (`pack_row_pairs`: word (r,c) holds rows 2r and 2r+1 of column c) or over its
// columns (`pack_column_pairs`: word (r,c) holds columns 2c and 2c+1 of row r); in float32 both are the matrix itself.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/attention_kernels.h"
#include "kernels/vector.h"

namespace cellsam::kernels::attention {
namespace {

constexpr std::int64_t kVectorFloats = VECTOR_FLOATS, kTileRows = TILE_ROWS;
constexpr std::int64_t kBlockVectors = 3;                                                     // vectors of queries side by side
constexpr std::int64_t kBlockQueries = kBlockVectors * kVectorFloats;                         // queries of a block
constexpr std::int64_t kDimMultiple = kVectorFloats > kTileRows ? kVectorFloats : kTileRows;  // widths are padded to this

using Vec = float __attribute__((vector_size(4 * VECTOR_FLOATS)));
// Where no alignment is promised; a typedef, as clang drops `aligned` after `using`.
typedef float LooseVec __attribute__((vector_size(4 * VECTOR_FLOATS), aligned(4), may_alias));
using IntVec = std::int32_t __attribute__((vector_size(4 * VECTOR_FLOATS)));

inline Vec load(const float* from) { return *reinterpret_cast<const LooseVec*>(from); }
inline void store(float* to, Vec x) { *reinterpret_cast<LooseVec*>(to) = x; }
// Through integers: the bits of a word of two bfloat16 may look like a number that arithmetic would alter.
inline Vec splat(float x) {
  std::int32_t bits;
  std::memcpy(&bits, &x, 4);
  return (Vec)(bits - IntVec{});
}
inline std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// Words of one float.
struct Fp32 {
  static constexpr std::int64_t kStep = 1;  // summed elements of a word
  static constexpr int kTerms = 6;          // of the polynomial of exp2_nonpositive()
  static Vec mac(Vec sum, Vec a, Vec b) { return sum + a * b; }
  static void store_row_pairs(float* to, Vec low, Vec) { store(to, low); }
  static void store_column_pairs(float* to, Vec x) { store(to, x); }
};

#ifdef __AVX512BF16__
// Words of two bf16 numbers.
struct Bf16 {
  static constexpr std::int64_t kStep = 2;
  static constexpr int kTerms = 4;  // exact enough for weights that are rounded to bf16
  static Vec mac(Vec sum, Vec a, Vec b) { return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
  static __m256i narrow(Vec x) { return (__m256i)_mm512_cvtneps_pbh((__m512)x); }
  // Words (low[i], high[i]).
  static void store_row_pairs(float* to, Vec low, Vec high) {
    const __m512i upper = _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow(high)), 16);
    _mm512_storeu_si512(to, _mm512_or_si512(_mm512_cvtepu16_epi32(narrow(low)), upper));
  }
  // kVectorFloats/2 words (x[2i], x[2i+1]).
  static void store_column_pairs(float* to, Vec x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(x)); }
};
#endif

// Words that hold `count` summed elements.
template <class Op>
std::int64_t words(std::int64_t count) {
  return (count + Op::kStep - 1) / Op::kStep;
}

// sum[m][.] += over k of a[m*row + k*step] * b[k*width + .], `count` words deep, in registers.
template <class Op, int N>
__attribute__((always_inline)) inline void multiply(Vec (&sum)[kTileRows][N], const float* a, std::int64_t row,
                                                    std::int64_t step, const float* b, std::int64_t width, std::int64_t count) {
  for (std::int64_t k = 0; k < count; ++k, a += step, b += width) {
    Vec right[N];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) right[j] = load(b + j * kVectorFloats);
#pragma GCC unroll 8
    for (int m = 0; m < kTileRows; ++m) {
      const Vec left = splat(a[m * row]);
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) sum[m][j] = Op::mac(sum[m][j], left, right[j]);
    }
  }
}

// c[rows][width] (+)= a . b for rows % kTileRows == 0, N vectors of columns.
template <class Op, int N, bool kAdd>
void product(float* c, std::int64_t width, std::int64_t rows, const float* a, std::int64_t row, std::int64_t step,
             const float* b, std::int64_t b_width, std::int64_t count) {
  for (std::int64_t m0 = 0; m0 < rows; m0 += kTileRows) {
    Vec sum[kTileRows][N] = {};
    multiply<Op, N>(sum, a + m0 * row, row, step, b, b_width, count);
#pragma GCC unroll 8
    for (int m = 0; m < kTileRows; ++m) {
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) {
        float* to = c + (m0 + m) * width + j * kVectorFloats;
        store(to, kAdd ? load(to) + sum[m][j] : sum[m][j]);
      }
    }
  }
}

// The same for any width that is a multiple of kVectorFloats.
template <class Op>
void product_add(float* c, std::int64_t width, std::int64_t rows, const float* a, std::int64_t row, std::int64_t step,
                 const float* b, std::int64_t count) {
  std::int64_t column = 0;
  for (; column + 2 * kVectorFloats <= width; column += 2 * kVectorFloats) {
    product<Op, 2, true>(c + column, width, rows, a, row, step, b + column, width, count);
  }
  if (column < width) product<Op, 1, true>(c + column, width, rows, a, row, step, b + column, width, count);
}

// `count` rows of `dim` elements as floats [count][width], the rest zero.
inline void read_rows(float* to, std::int64_t width, const Rows& rows, std::int64_t first, std::int64_t count, std::int64_t dim,
                      std::int64_t row_step = 1) {
  for (std::int64_t r = 0; r < count; ++r, to += width) {
    const std::int64_t at = (first + r * row_step) * rows.stride;
    if (rows.bf16) {
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

inline void write_row(const Rows& rows, std::int64_t row, const float* from, std::int64_t dim, std::int64_t step = 1) {
  if (rows.bf16) {
    std::uint16_t* to = static_cast<std::uint16_t*>(rows.data) + row * rows.stride;
    for (std::int64_t i = 0; i < dim; ++i) to[i] = to_bf16(from[i * step]);
  } else {
    float* to = static_cast<float*>(rows.data) + row * rows.stride;
    for (std::int64_t i = 0; i < dim; ++i) to[i] = from[i * step];
  }
}

// Floats [count][width] to words along the rows: [words(count)][width], or along the columns: [count][words(width)].
template <class Op>
void pack_row_pairs(float* to, const float* from, std::int64_t count, std::int64_t width) {
  for (std::int64_t r = 0; r < count; r += Op::kStep, from += Op::kStep * width, to += width) {
    const bool alone = Op::kStep == 1 || r + 1 == count;
    for (std::int64_t i = 0; i < width; i += kVectorFloats)
      Op::store_row_pairs(to + i, load(from + i), alone ? Vec{} : load(from + width + i));
  }
}
template <class Op>
void pack_column_pairs(float* to, const float* from, std::int64_t count, std::int64_t width) {
  for (std::int64_t i = 0; i < count * width; i += kVectorFloats) Op::store_column_pairs(to + i / Op::kStep, load(from + i));
}

// Floats [kBlockQueries][width] to [width][kBlockQueries].
inline void transpose(float* to, const float* from, std::int64_t width) {
  for (std::int64_t i = 0; i < width; ++i) {
    for (std::int64_t q = 0; q < kBlockQueries; ++q) to[i * kBlockQueries + q] = from[q * width + i];
  }
}

// Queries [first, first+count) as the right operand [dim_words][kBlockQueries]; `rows` keeps them as floats
// [kBlockQueries][dim].
template <class Op>
void read_queries(float* to, float* rows, float* transposed, const Rows& from, std::int64_t first, std::int64_t count,
                  std::int64_t dim, std::int64_t padded) {
  read_rows(rows, padded, from, first, count, dim);
  std::memset(rows + count * padded, 0, (kBlockQueries - count) * padded * sizeof(float));
  transpose(transposed, rows, padded);
  pack_row_pairs<Op>(to, transposed, padded, kBlockQueries);
}

constexpr float kLog2E = 1.44269504f;

}  // namespace
}  // namespace cellsam::kernels::attention
