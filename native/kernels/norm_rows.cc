#include "kernels/norm_rows.h"

#include <cmath>

#include "kernels/vector.h"

namespace cellsam::kernels {
namespace {

constexpr std::int64_t kLanes = 32;  // sums that run side by side, so that their order is the same on every kind of CPU

CELLSAM_INLINE float to_float(float x) { return x; }
CELLSAM_INLINE float to_float(std::uint16_t x) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(x) << 16); }

CELLSAM_INLINE void store(float x, float& to) { to = x; }
CELLSAM_INLINE void store(float x, std::uint16_t& to) { to = static_cast<std::uint16_t>(bf16_bits(x)); }

// The sum of term(0) ... term(n-1).
template <class Term>
CELLSAM_INLINE float sum_in_lanes(std::int64_t n, Term term) {
  float lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    CELLSAM_INDEPENDENT
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (; i < n; ++i) lanes[i % kLanes] += term(i);
  for (std::int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::int64_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

template <class Delta>
CELLSAM_INLINE void add(const float* x, const Delta* delta, std::int64_t n, float* out) {
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) out[i] = x[i] + to_float(delta[i]);
}

template <class Out>
CELLSAM_INLINE void normalize(const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias,
                              Out* out) {
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) store((x[i] - moments.mean) * moments.rstd * weight[i] + bias[i], out[i]);
}

}  // namespace

namespace loops {

CELLSAM_INLINE void add_row(const float* x, const float* delta, std::int64_t n, float* out) { add(x, delta, n, out); }
CELLSAM_INLINE void add_row(const float* x, const std::uint16_t* delta, std::int64_t n, float* out) { add(x, delta, n, out); }

CELLSAM_INLINE Moments moments_of_row(const float* x, std::int64_t n, float eps) {
  const auto count = static_cast<float>(n);
  const float mean = sum_in_lanes(n, [x](std::int64_t i) { return x[i]; }) / count;
  const float variance = sum_in_lanes(n, [x, mean](std::int64_t i) { return (x[i] - mean) * (x[i] - mean); }) / count;
  return {mean, 1 / std::sqrt(variance + eps)};
}

CELLSAM_INLINE void normalize_row(const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias,
                                  float* out) {
  normalize(x, n, moments, weight, bias, out);
}
CELLSAM_INLINE void normalize_row(const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias,
                                  std::uint16_t* out) {
  normalize(x, n, moments, weight, bias, out);
}

CELLSAM_INLINE void normalize_row_backward(const float* x, const float* out_grad, const float* residual_grad, std::int64_t n,
                                           Moments moments, const float* weight, float* x_grad, float* weight_grad,
                                           float* bias_grad) {
  const auto [mean, rstd] = moments;
  const float mean_grad = sum_in_lanes(n, [=](std::int64_t i) { return out_grad[i] * weight[i]; }) / static_cast<float>(n);
  const float mean_grad_x =
      sum_in_lanes(n, [=](std::int64_t i) { return out_grad[i] * weight[i] * ((x[i] - mean) * rstd); }) / static_cast<float>(n);
  if (weight_grad != nullptr) {
    CELLSAM_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      weight_grad[i] += out_grad[i] * ((x[i] - mean) * rstd);
      bias_grad[i] += out_grad[i];
    }
  }
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) {
    const float norm_grad = rstd * (out_grad[i] * weight[i] - mean_grad - (x[i] - mean) * rstd * mean_grad_x);
    x_grad[i] = residual_grad != nullptr ? residual_grad[i] + norm_grad : norm_grad;
  }
}

CELLSAM_INLINE void bf16_to_float_row(const std::uint16_t* x, std::int64_t n, float* out) {
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) out[i] = to_float(x[i]);
}

CELLSAM_INLINE void float_to_bf16_row(const float* x, std::int64_t n, std::uint16_t* out) {
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) store(x[i], out[i]);
}

}  // namespace loops

CELLSAM_COPIES(void, add_row, (const float* x, const float* delta, std::int64_t n, float* out), (x, delta, n, out))
CELLSAM_COPIES(void, add_row, (const float* x, const std::uint16_t* delta, std::int64_t n, float* out), (x, delta, n, out))
CELLSAM_COPIES(Moments, moments_of_row, (const float* x, std::int64_t n, float eps), (x, n, eps))
CELLSAM_COPIES(void, normalize_row,
               (const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias, float* out),
               (x, n, moments, weight, bias, out))
CELLSAM_COPIES(void, normalize_row,
               (const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias, std::uint16_t* out),
               (x, n, moments, weight, bias, out))
CELLSAM_COPIES(void, normalize_row_backward,
               (const float* x, const float* out_grad, const float* residual_grad, std::int64_t n, Moments moments,
                const float* weight, float* x_grad, float* weight_grad, float* bias_grad),
               (x, out_grad, residual_grad, n, moments, weight, x_grad, weight_grad, bias_grad))
CELLSAM_COPIES(void, bf16_to_float_row, (const std::uint16_t* x, std::int64_t n, float* out), (x, n, out))
CELLSAM_COPIES(void, float_to_bf16_row, (const float* x, std::int64_t n, std::uint16_t* out), (x, n, out))

}  // namespace cellsam::kernels
