#include "augment/affine.h"

#include <cmath>
#include <numbers>

#include "augment/warp.h"

namespace cellsam::augment {
namespace {

constexpr double kAffineProbability = 0.75, kScale = 0.15, kShear = 5, kShift = 0.08;

double uniform_within(double bound, CounterRng& rng) { return bound * (2 * rng.uniform() - 1); }

double tangent(double degrees) { return std::tan(degrees * std::numbers::pi / 180); }

}  // namespace

Affine draw_affine(CounterRng& rng) {
  Affine affine;
  affine.scale_y = 1 + uniform_within(kScale, rng);
  affine.scale_x = 1 + uniform_within(kScale, rng);
  affine.shear_y = uniform_within(kShear, rng);
  affine.shear_x = uniform_within(kShear, rng);
  affine.shift_y = uniform_within(kShift, rng);
  affine.shift_x = uniform_within(kShift, rng);
  return affine;
}

Pixels apply(const Affine& affine, const Pixels& pixels) {
  const auto height = static_cast<double>(pixels.labels.size(0)), width = static_cast<double>(pixels.labels.size(1));
  const double tan_y = tangent(affine.shear_y), tan_x = tangent(affine.shear_x);
  const double centre_y = (height - 1) / 2, centre_x = (width - 1) / 2;
  const double shift_y = affine.shift_y * height, shift_x = affine.shift_x * width;
  // By the inverse of A: first of the shear, then of the scale.
  const double of_y = 1 / (1 - tan_y * tan_x) / affine.scale_y, of_x = 1 / (1 - tan_y * tan_x) / affine.scale_x;
  return warp(pixels, [&](std::int64_t y, std::int64_t x) {
    const double down = static_cast<double>(y) - centre_y - shift_y, right = static_cast<double>(x) - centre_x - shift_x;
    return Point{centre_y + of_y * (down - tan_y * right), centre_x + of_x * (right - tan_x * down)};
  });
}

Pixels affine(const Pixels& pixels, CounterRng& rng) {
  return rng.uniform() < kAffineProbability ? apply(draw_affine(rng), pixels) : pixels;
}

}  // namespace cellsam::augment
