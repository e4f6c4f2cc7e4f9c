#include "kernels/norm_rows.h"

#include <cmath>

#include "kernels/vector.h"

namespace cellsam::kernels {
namespace {

constexpr std::int64_t kLanes = 32;  // sums that run side by side, so that their order is the same on every kind of CPU

CELLSAM_INLINE float wide(float x) { return x; }
CELLSAM_INLINE float wide(std::uint16_t x) { return __builtin_bit_cast(float, static_cast<std::uint32_t>(x) << 16); }

CELLSAM_INLINE void put(float x, float& to) { to = x; }
CELLSAM_INLINE void put(float x, std::uint16_t& to) { to = static_cast<std::uint16_t>(bf16_bits(x)); }

// The sum of term(0) ... term(n-1).
template <class Term>
CELLSAM_INLINE float lane_sum(std::int64_t n, Term term) {
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
  for (std::int64_t i = 0; i < n; ++i) out[i] = x[i] + wide(delta[i]);
}

template <class Out>
CELLSAM_INLINE void normalize(const float* x, std::int64_t n, Moments moments, const float* weight, const float* bias,
                              Out* out) {
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) put((x[i] - moments.mean) * moments.scale * weight[i] + bias[i], out[i]);
}

}  // namespace

namespace loops {

CELLSAM_INLINE void add_row(const float* x, const float* delta, std::int64_t n, float* out) { add(x, delta, n, out); }
CELLSAM_INLINE void add_row(const float* x, const std::uint16_t* delta, std::int64_t n, float* out) { add(x, delta, n, out); }

CELLSAM_INLINE Moments moments_of_row(const float* x, std::int64_t n, float eps) {
  const auto count = static_cast<float>(n);
  const float mean = lane_sum(n, [x](std::int64_t i) { return x[i]; }) / count;
  const float variance = lane_sum(n, [x, mean](std::int64_t i) { return (x[i] - mean) * (x[i] - mean); }) / count;
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

CELLSAM_INLINE void norm_slope_row(const float* x, const float* slope, const float* passed, std::int64_t n, Moments moments,
                                   const float* weight, float* x_slope, float* weight_slope, float* bias_slope) {
  const auto [mean, scale] = moments;
  const float even = lane_sum(n, [=](std::int64_t i) { return slope[i] * weight[i]; }) / static_cast<float>(n);
  const float tilt =
      lane_sum(n, [=](std::int64_t i) { return slope[i] * weight[i] * ((x[i] - mean) * scale); }) / static_cast<float>(n);
  if (weight_slope != nullptr) {
    CELLSAM_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) {
      weight_slope[i] += slope[i] * ((x[i] - mean) * scale);
      bias_slope[i] += slope[i];
    }
  }
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) {
    const float own = scale * (slope[i] * weight[i] - even - (x[i] - mean) * scale * tilt);
    x_slope[i] = passed != nullptr ? passed[i] + own : own;
  }
}

CELLSAM_INLINE void widen_row(const std::uint16_t* x, std::int64_t n, float* out) {
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) out[i] = wide(x[i]);
}

CELLSAM_INLINE void narrow_row(const float* x, std::int64_t n, std::uint16_t* out) {
  CELLSAM_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) put(x[i], out[i]);
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
CELLSAM_COPIES(void, norm_slope_row,
               (const float* x, const float* slope, const float* passed, std::int64_t n, Moments moments, const float* weight,
                float* x_slope, float* weight_slope, float* bias_slope),
               (x, slope, passed, n, moments, weight, x_slope, weight_slope, bias_slope))
CELLSAM_COPIES(void, widen_row, (const std::uint16_t* x, std::int64_t n, float* out), (x, n, out))
CELLSAM_COPIES(void, narrow_row, (const float* x, std::int64_t n, std::uint16_t* out), (x, n, out))

}  // namespace cellsam::kernels
