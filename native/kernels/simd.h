// For files whose loops the compiler turns into vectors, with a copy for each instruction set (kernels/isa.h): the two
// operations that a compiler has no vector form of. Such files are built with -O3 (see CMakeLists.txt).
#pragma once

#include <cstdint>

#include "kernels/isa.h"

// Before a loop whose turns do not touch each other's memory, where the compiler cannot know.
#if defined(__clang__)
#define CELLSAM_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define CELLSAM_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace cellsam::kernels {

// exp(x) within 2 units in the last place for -87 <= x <= 88; smaller and larger x answer as those bounds do, NaN as NaN.
CELLSAM_INLINE float simd_exp(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: what is added to it is rounded to an integer in the lowest bits
  const float shifted = x * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693145752F) - n * 1.42860677e-6F;  // ln 2 in two parts
  float p = 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  return p * __builtin_bit_cast(float, (__builtin_bit_cast(std::uint32_t, shifted) + 127U) << 23);
}

// The bits of x rounded to bfloat16, to nearest even, in the lower half.
CELLSAM_INLINE std::uint32_t bf16_bits(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  return (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
}

}  // namespace cellsam::kernels
