// The vectors of the mask decoder's loops, and the normal distribution behind GELU. For mask_decoder_kernels_body.h, compiled
// for the instruction set of the file that includes that one.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/mask_decoder_kernels.h"
#include "kernels/vector.h"

namespace cellsam::kernels {
namespace {

typedef float Vec __attribute__((vector_size(64)));
typedef std::uint32_t Bits __attribute__((vector_size(64)));
typedef std::uint16_t Bf16s __attribute__((vector_size(32)));

inline Vec load(const float* from) {
  Vec v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void store(float* to, Vec v) { std::memcpy(to, &v, sizeof v); }
inline Vec all(float x) { return Vec{} + x; }
inline float sum(Vec v) {
  float parts[kImageTokenStep];
  std::memcpy(parts, &v, sizeof v);
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) parts[i] += parts[i + width];
  }
  return parts[0];
}

struct StandardNormal {
  Vec cdf, pdf;  // of the standard normal distribution at x
};

// After Abramowitz and Stegun 7.1.26, whose error in the cdf is 8e-8; it needs the exponential of the pdf anyway.
inline StandardNormal standard_normal(Vec x) {
  const Vec size = x < 0.0F ? -x : x;
  const Vec capped = size < 13.0F ? size : all(13.0F);  // the pdf is 0 in float from there on
  const Vec e = exp_nonpositive(capped * capped * -0.5F);
  const Vec t = 1.0F / (capped * (0.3275911F * 0.70710678118654752F) + 1.0F);
  Vec p = all(1.061405429F);
  p = p * t - 1.453152027F;
  p = p * t + 1.421413741F;
  p = p * t - 0.284496736F;
  p = p * t + 0.254829592F;
  const Vec above = p * t * e * 0.5F;
  return {x < 0.0F ? above : 1.0F - above, e * 0.39894228040143268F};
}

inline Vec gelu(Vec x) { return x * standard_normal(x).cdf; }

}  // namespace
}  // namespace cellsam::kernels
