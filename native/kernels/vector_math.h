// exp and log of float as straight-line code, so that a compiler makes vectors of a loop around them. Errors below 2 units in
// the last place; the same bits at every vector width. Include only where -ffp-contract=off is set.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/isa.h"

namespace cellsam::kernels {

// e^x, x held within -87 and 88; NaN stays NaN. Powers of two from the exponent bits, the rest from Cephes' polynomial.
CELLSAM_INLINE float vector_exp(float x) {
  constexpr float kShift = 12582912.0F;  // 1.5 * 2^23: adding it rounds to whole numbers, in the low bits
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504F + kShift;
  const float whole = shifted - kShift;
  const float r = (x - whole * 0.693359375F) + whole * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  const auto exponent = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kShift) + 127U;
  return p * std::bit_cast<float>(exponent << 23);
}

// ln x of a positive, normal, finite x (Cephes' logf).
CELLSAM_INLINE float vector_log(float x) {
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

}  // namespace cellsam::kernels
