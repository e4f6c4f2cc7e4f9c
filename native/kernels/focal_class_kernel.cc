#include "kernels/focal_class_kernel.h"

#include <array>
#include <cmath>

#include "kernels/isa.h"
#include "kernels/vector.h"

namespace cellsam::kernels {

namespace {

constexpr std::int64_t kLanes = 64;

CELLSAM_INLINE float exponential(float x) { return exp_same_bits(x); }
CELLSAM_INLINE double exponential(double x) { return std::exp(x); }

// ln(1 + e) for 0 <= e <= 1: what 1 + e rounds away is put back as a factor (Kahan), or tiny losses would be 0.
CELLSAM_INLINE float log_one_plus(float e) {
  const float sum = 1.0F + e, kept = sum - 1.0F;
  return kept == 0.0F ? e : log_same_bits(sum) * (e / kept);
}
CELLSAM_INLINE double log_one_plus(double e) { return std::log1p(e); }

// Value and gradient of one logit. With s the logit, negated where the class is present, the loss is σ(s)² softplus(s).
template <class Number>
CELLSAM_INLINE Number loss_of_logit(Number logit, Number weight, Number scale, Number* gradient) {
  const Number s = weight < 0 ? -logit : logit;
  const Number size = s < 0 ? -s : s;
  const Number e = exponential(-size);
  const Number likely = 1 / (1 + e), unlikely = e * likely;
  const Number p = s < 0 ? unlikely : likely, miss = s < 0 ? likely : unlikely;  // σ(s), σ(-s)
  const Number entropy = (s < 0 ? 0 : s) + log_one_plus(e);
  *gradient = scale * weight * (p * p) * (p + 2 * miss * entropy);
  return (weight < 0 ? -weight : weight) * (p * p) * entropy;
}

namespace loops {

CELLSAM_INLINE double sum_of(const float* logits, const float* weight, std::int64_t count, float scale, float* gradient) {
  double total = 0;
  std::int64_t first = 0;
  std::array<float, kLanes> values;
  for (; first + kLanes <= count; first += kLanes) {
    for (std::int64_t i = 0; i < kLanes; ++i) {
      values[i] = loss_of_logit(logits[first + i], weight[first + i], scale, gradient + first + i);
    }
    for (const float value : values) total += static_cast<double>(value);
  }
  for (; first < count; ++first)
    total += static_cast<double>(loss_of_logit(logits[first], weight[first], scale, gradient + first));
  return total;
}

}  // namespace loops

CELLSAM_COPIES(double, sum_of,
               (const float* __restrict logits, const float* __restrict weight, std::int64_t count, float scale,
                float* __restrict gradient),
               (logits, weight, count, scale, gradient))

}  // namespace

double class_loss(const float* logits, const float* weight, std::int64_t count, double scale, float* gradient) {
  return sum_of(logits, weight, count, static_cast<float>(scale), gradient);
}

double class_loss(const double* logits, const double* weight, std::int64_t count, double scale, double* gradient) {
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) total += loss_of_logit(logits[i], weight[i], scale, gradient + i);
  return total;
}

}  // namespace cellsam::kernels
