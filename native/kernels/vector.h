// Elementary functions in vector code: exp, log, and rounding to bfloat16. All polynomials and roundings of this room stand
// here. There are five exponentials because each caller needs another trade of range, accuracy and speed, and the polynomial is
// a good part of its loop:
//
//   function                     argument              relative error    caller and why
//   exp_same_bits, log_same_bits -87..88 (held within) 2 ulp             matching, class loss: the same bits at every vector
//                                                                        width, so the file sets -ffp-contract=off
//   exp_fast                     -87..88 (held within) 2 ulp             backbone attention: shorter, contracted to FMA
//   exp_minus, log1p_unit        a >= 0; 0..1          2e-9, 3e-8 + ulp  mask losses: explicit FMA on x86's own vectors
//   exp_nonpositive              -87..0                1e-7              mask decoder: no clamp, rounds by conversion
//   exp2_nonpositive             up to about 0         by kTerms         detector's attention: base 2 saves a product, four
//                                                                        terms are enough for bf16; scalef on AVX-512
//
// Scalar functions are for loops that the compiler makes vectors of; those of a `Vec` or of `Lanes` are templates. The files
// that include this may be compiled for more than the baseline, and the linker may take an inline function of any of them for
// all: so everything here is always inlined or stays in the including file, and no header with functions of its own belongs
// here (<bit> has templates alone).
#pragma once

#include <bit>
#include <cstdint>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels/isa.h"

// Before a loop whose iterations do not touch each other's memory, where the compiler cannot know.
#if defined(__clang__)
#define CELLSAM_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define CELLSAM_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace cellsam::kernels {

// 1.5 * 2^23: adding it to a float rounds to a whole number, which then stands in the lowest bits.
constexpr float kRoundToWhole = 12582912.0F;

// ---- exp and log of a float, the same bits at every vector width (Cephes' expf and logf) -----------------------------
// std::bit_cast and not its builtin: GCC 12 makes other code of the two in these loops, and this is what was measured.

// e^x, x held within -87 and 88; NaN stays NaN.
CELLSAM_INLINE float exp_same_bits(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504F + kRoundToWhole;
  const float whole = shifted - kRoundToWhole;
  const float r = (x - whole * 0.693359375F) + whole * 2.12194440e-4F;  // ln 2 in two parts
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  const auto exponent = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRoundToWhole) + 127U;
  return p * std::bit_cast<float>(exponent << 23);
}

// ln x of a positive, normal, finite x.
CELLSAM_INLINE float log_same_bits(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t exponent = (bits - 0x3F3504F3) >> 23;  // so that the mantissa lies around 1, from √½ to √2
  const float f = std::bit_cast<float>(bits - exponent * (1 << 23)) - 1.0F;
  const auto e = static_cast<float>(exponent);
  const float square = f * f;
  float p = 7.0376836292e-2F;
  p = p * f - 1.1514610310e-1F;
  p = p * f + 1.1676998740e-1F;
  p = p * f - 1.2420140846e-1F;
  p = p * f + 1.4249322787e-1F;
  p = p * f - 1.6668057665e-1F;
  p = p * f + 2.0000714765e-1F;
  p = p * f - 2.4999993993e-1F;
  p = p * f + 3.3333331174e-1F;
  p = p * f * square - e * 2.12194440e-4F - square * 0.5F;
  return f + p + e * 0.693359375F;
}

// ---- exp of a float, shorter -----------------------------------------------------------------------------------------

// e^x within 2 units in the last place for -87 <= x <= 88; smaller and larger x give what those bounds give, NaN gives NaN.
CELLSAM_INLINE float exp_fast(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504F + kRoundToWhole;
  const float n = shifted - kRoundToWhole;
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

// ---- rounding to bfloat16, to nearest even: three functions, as keeping NaN costs a comparison and a blend ------------

// The bits of x in the lower half. The NaN of arithmetic stays NaN; one with other bits may become infinite.
CELLSAM_INLINE std::uint32_t bf16_bits(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  return (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
}

namespace {

// ---- exp and log of x86's own vectors, with explicit FMA (`Lanes`: see mask_loss_rows.h) -----------------------------

// e^-a for 0 <= a. The polynomial of least relative error, 2e-9, on half an octave to both sides of 0; exactly 1 for a = 0.
template <class Lanes>
inline typename Lanes::Vector exp_minus(typename Lanes::Vector a) {
  const auto c = [](float x) { return Lanes::spread(x); };
  const auto whole = Lanes::nearest(a * c(-1.44269504F));
  const auto r = Lanes::fma(whole, c(-0.693147182F), -a);  // the constant's own error is 2e-9 of an octave
  auto p = Lanes::fma(c(1.383684226e-03F), r, c(8.374815807e-03F));
  p = Lanes::fma(p, r, c(4.166822508e-02F));
  p = Lanes::fma(p, r, c(1.666641980e-01F));
  p = Lanes::fma(p, r, c(4.999999106e-01F));
  p = Lanes::fma(p, r, c(1.0F));
  p = Lanes::fma(p, r, c(1.0F));
  return Lanes::times_power_of_two(p, whole);
}

// ln(1+e) for 0 <= e <= 1. The polynomial of least relative error, 3e-8, for ln(1+e)/e, so that small e keep their digits.
template <class Lanes>
inline typename Lanes::Vector log1p_unit(typename Lanes::Vector e) {
  const auto c = [](float x) { return Lanes::spread(x); };
  auto p = Lanes::fma(c(5.232623778e-03F), e, c(-2.950495668e-02F));
  p = Lanes::fma(p, e, c(7.822549343e-02F));
  p = Lanes::fma(p, e, c(-1.366320699e-01F));
  p = Lanes::fma(p, e, c(1.910598874e-01F));
  p = Lanes::fma(p, e, c(-2.484297752e-01F));
  p = Lanes::fma(p, e, c(3.331909478e-01F));
  p = Lanes::fma(p, e, c(-4.999949336e-01F));
  p = Lanes::fma(p, e, c(9.999999404e-01F));
  return p * e;
}

// ---- exp of the compiler's own vectors of floats (`Vec`) -------------------------------------------------------------

template <class Vec>
using IntsOf = decltype(Vec{} < Vec{});  // as many std::int32_t

// e^x for -87 < x <= 0, to 1e-7 relative: 2^n times a polynomial on half an octave around 0.
template <class Vec>
inline Vec exp_nonpositive(Vec x) {
  using Ints = IntsOf<Vec>;
  const Vec octaves = x * 1.44269504088896341F;
  const Ints n = __builtin_convertvector(octaves - 0.5F, Ints);  // to the nearest, for x <= 0
  const Vec whole = __builtin_convertvector(n, Vec);
  const Vec r = (x - whole * 0.693359375F) + whole * 2.12194440e-4F;
  Vec p = Vec{} + 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  return p * (Vec)((n + 127) << 23);
}

#if defined(__AVX2__)
// a where it is larger, else b: also where one of them is NaN.
template <class Vec>
inline Vec max(Vec a, Vec b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Vec) == 64) return (Vec)_mm512_max_ps((__m512)a, (__m512)b);
#endif
  if constexpr (sizeof(Vec) == 32) return (Vec)_mm256_max_ps((__m256)a, (__m256)b);
}

// 2^f for |f| <= 0.5.
template <int kTerms, class Vec>
inline Vec exp2_of_fraction(Vec f) {
  Vec sum = Vec{} + (kTerms > 4 ? 1.5403530e-4F : 9.6181291e-3F);
  if (kTerms > 4) sum = (sum * f + 1.3333558e-3F) * f + 9.6181291e-3F;
  sum = ((sum * f + 5.5504109e-2F) * f + 2.4022651e-1F) * f + 6.9314718e-1F;
  return sum * f + 1.0F;
}

// 2^x for x up to about 0. NaN stays NaN: a broken activation must be seen further on.
template <int kTerms, class Vec>
inline Vec exp2_nonpositive(Vec x) {
  x = max(Vec{} - 126.0F, x);
#if defined(__AVX512F__)
  if constexpr (sizeof(Vec) == 64) {
    const __m512 whole = _mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return (Vec)_mm512_scalef_ps((__m512)exp2_of_fraction<kTerms>(x - (Vec)whole), whole);
  }
#endif
  const Vec shifted = x + kRoundToWhole;
  const Vec power = (Vec)(((IntsOf<Vec>)shifted + (127 - 0x4B400000)) << 23);
  return exp2_of_fraction<kTerms>(x - (shifted - kRoundToWhole)) * power;
}
#endif

// ---- rounding to bfloat16 that keeps NaN -----------------------------------------------------------------------------

// The bits of x; NaN stays NaN.
inline std::uint16_t to_bf16(float x) {
  const auto bits = __builtin_bit_cast(std::uint32_t, x);
  return x == x ? static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) : 0x7fc0;
}

// The bits in the upper half of each number; NaN stays NaN.
template <class Bits, class Vec>
inline Bits to_bf16_upper(Vec x) {
  const Bits bits = (Bits)x;
  const Bits nearest = bits + 0x7fffU + ((bits >> 16) & 1U);
  return x == x ? nearest : Bits{} + 0x7fc00000U;
}

}  // namespace
}  // namespace cellsam::kernels
