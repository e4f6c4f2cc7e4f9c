// The vectors of the mask decoder's inner loops and the functions of one: exponentials, the normal distribution behind GELU,
// rounding to bfloat16. For cell_kernels_body.h, compiled for the instruction set of the file that includes that one.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/mask_decoder_kernels.h"

namespace cellsam::kernels {
namespace {

typedef float Vec __attribute__((vector_size(64)));
typedef std::int32_t Ints __attribute__((vector_size(64)));
typedef std::uint32_t Bits __attribute__((vector_size(64)));
typedef std::uint16_t Halves __attribute__((vector_size(32)));

inline Vec load(const float* from) {
  Vec v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void store(float* to, Vec v) { std::memcpy(to, &v, sizeof v); }
inline Vec all(float x) { return Vec{} + x; }
inline float sum(Vec v) {
  float parts[kCellStep];
  std::memcpy(parts, &v, sizeof v);
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) parts[i] += parts[i + width];
  }
  return parts[0];
}

// e^x for -87 < x <= 0, to 1e-7 relative: 2^n times a polynomial on half an octave around 0.
inline Vec exp_negative(Vec x) {
  const Vec octaves = x * 1.44269504088896341F;
  const Ints n = __builtin_convertvector(octaves - 0.5F, Ints);  // to the nearest, for x <= 0
  const Vec whole = __builtin_convertvector(n, Vec);
  const Vec r = (x - whole * 0.693359375F) + whole * 2.12194440e-4F;
  Vec p = all(1.9875691500e-4F);
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const Ints bits = (n + 127) << 23;
  Vec scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

struct Normal {
  Vec below;    // the share of a normal distribution below x
  Vec density;  // at x
};

// After Abramowitz and Stegun 7.1.26, whose error is 8e-8 of the share; it needs the density's exponential anyway.
inline Normal normal(Vec x) {
  const Vec size = x < 0.0F ? -x : x;
  const Vec capped = size < 13.0F ? size : all(13.0F);  // the density is 0 in float from there on
  const Vec e = exp_negative(capped * capped * -0.5F);
  const Vec t = 1.0F / (capped * (0.3275911F * 0.70710678118654752F) + 1.0F);
  Vec p = all(1.061405429F);
  p = p * t - 1.453152027F;
  p = p * t + 1.421413741F;
  p = p * t - 0.284496736F;
  p = p * t + 0.254829592F;
  const Vec above = p * t * e * 0.5F;
  return {x < 0.0F ? above : 1.0F - above, e * 0.39894228040143268F};
}

inline Vec gelu(Vec x) { return x * normal(x).below; }

// To bfloat16, to nearest even: the upper half of each number is the answer. NaN stays NaN.
inline Bits rounded(Vec x) {
  Bits bits;
  std::memcpy(&bits, &x, sizeof bits);
  const Bits nearest = bits + 0x7fffU + ((bits >> 16) & 1U);
  return x == x ? nearest : Bits{} + 0x7fc00000U;
}

}  // namespace
}  // namespace cellsam::kernels
