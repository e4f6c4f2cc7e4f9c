// Rows of a residual stream: sums, layer normalisation (Ba et al., 2016) and its gradient, each in one pass over a row [n] that
// stays in the cache. std::uint16_t stands for the bits of a bfloat16; all sums are in float32. Called by ops/epilogues.cc;
// compiled for AVX-512, AVX2 and the baseline (CELLSAM_COPIES).
#pragma once

#include <cstdint>

namespace cellsam::kernels {

struct Moments {
  float mean, rstd;  // rstd: 1 / sqrt(variance + eps)
};

// out = x + delta, n numbers.
void add_row(const float* x, const float* delta, std::int64_t n, float* out);
void add_row(const float* x, const std::uint16_t* delta, std::int64_t n, float* out);

Moments moments_of_row(const float* x, std::int64_t n, float eps);

// out = (x - mean) * rstd * weight + bias.
void normalize_row(const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias, float* out);
void normalize_row(const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias, std::uint16_t* out);

// The gradient of normalize_row, with y = (x - mean) * rstd and g = out_grad * weight:
//   x_grad = residual_grad + rstd * (g - mean of g - y * mean of g * y)
// residual_grad: what reaches x past the norm, or null. Adds out_grad * y to weight_grad and out_grad to bias_grad, unless they
// are null. x_grad may be one of the inputs.
void normalize_row_backward(const float* x, const float* out_grad, const float* residual_grad, std::int64_t n, Moments moments,
                            const float* weight, float* x_grad, float* weight_grad, float* bias_grad);

void bf16_to_float_row(const std::uint16_t* x, std::int64_t n, float* out);  // bfloat16 -> float32
void float_to_bf16_row(const float* x, std::int64_t n, std::uint16_t* out);  // float32 -> bfloat16, to nearest even

}  // namespace cellsam::kernels
