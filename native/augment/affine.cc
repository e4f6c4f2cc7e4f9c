#include "augment/affine.h"

#include <cmath>
#include <numbers>

#include "augment/warp.h"

namespace cellsam::augment {
namespace {

constexpr double kScale = 0.15, kShear = 5, kShift = 0.08;

double within(double reach, CounterRng& rng) { return reach * (2 * rng.uniform() - 1); }

double tangent(double degrees) { return std::tan(degrees * std::numbers::pi / 180); }

}  // namespace

Affine draw_affine(CounterRng& rng) {
  Affine affine;
  affine.scale_y = 1 + within(kScale, rng);
  affine.scale_x = 1 + within(kScale, rng);
  affine.shear_y = within(kShear, rng);
  affine.shear_x = within(kShear, rng);
  affine.shift_y = within(kShift, rng);
  affine.shift_x = within(kShift, rng);
  return affine;
}

Pixels apply(const Affine& affine, const Pixels& pixels) {
  const auto height = static_cast<double>(pixels.labels.size(0)), width = static_cast<double>(pixels.labels.size(1));
  const double lean_y = tangent(affine.shear_y), lean_x = tangent(affine.shear_x);
  const double middle_y = (height - 1) / 2, middle_x = (width - 1) / 2;
  const double shift_y = affine.shift_y * height, shift_x = affine.shift_x * width;
  // The inverse of A: unshear, then unscale.
  const double determinant = 1 - lean_y * lean_x;
  return warp(pixels, [&](std::int64_t y, std::int64_t x) {
    const double down = static_cast<double>(y) - middle_y - shift_y, right = static_cast<double>(x) - middle_x - shift_x;
    return Place{middle_y + (down - lean_y * right) / determinant / affine.scale_y,
                 middle_x + (right - lean_x * down) / determinant / affine.scale_x};
  });
}

Step affine_step() {
  return {"affine", Level::Complex, [](const Pixels& pixels, CounterRng& rng) {
            constexpr double kChance = 0.75;
            return rng.uniform() < kChance ? apply(draw_affine(rng), pixels) : pixels;
          }};
}

}  // namespace cellsam::augment
