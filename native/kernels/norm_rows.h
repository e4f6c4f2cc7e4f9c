// Rows of a residual stream: sums, layer normalisation (Ba et al., 2016) and its gradient, each in one pass over a row that
// stays in the cache. Half-precision rows are bits of bfloat16; all sums are in float32.
#pragma once

#include <cstdint>

namespace cellsam::kernels {

struct Moments {
  float mean, scale;  // scale = 1 / sqrt(variance + eps)
};

// out = x + delta, n numbers.
void add_row(const float* x, const float* delta, std::int64_t n, float* out);
void add_row(const float* x, const std::uint16_t* delta, std::int64_t n, float* out);

Moments moments_of_row(const float* x, std::int64_t n, float eps);

// out = (x - mean) * scale * weight + bias.
void normalize_row(const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias, float* out);
void normalize_row(const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias, std::uint16_t* out);

// What came out of normalize_row has the gradient `slope`, and x one more, `passed`, or null. Writes the gradient of x, and
// adds to those of weight and bias, where they are asked for. May write where it reads.
void norm_slope_row(const float* x, const float* slope, const float* passed, std::int64_t n, Moments moments,
                    const float* weight, float* x_slope, float* weight_slope, float* bias_slope);

void widen_row(const std::uint16_t* x, std::int64_t n, float* out);   // bfloat16 -> float32
void narrow_row(const float* x, std::int64_t n, std::uint16_t* out);  // float32 -> bfloat16, to nearest even

}  // namespace cellsam::kernels
