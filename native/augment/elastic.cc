#include "augment/elastic.h"

#include <cmath>
#include <numbers>

#include "augment/warp.h"

namespace cellsam::augment {
namespace {

constexpr double kElasticProbability = 0.4, kAlpha = 120, kSigma = 8.4;

// Pairs of independent standard normal numbers (Box and Muller, 1958).
std::vector<float> normal_noise(std::int64_t count, CounterRng& rng) {
  std::vector<float> noise(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < noise.size(); i += 2) {
    const double radius = std::sqrt(-2 * std::log(1 - rng.uniform())), angle = 2 * std::numbers::pi * rng.uniform();
    noise[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < noise.size()) noise[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return noise;
}

std::vector<float> gaussian_weights(double sigma) {
  const auto radius = static_cast<std::int64_t>(4 * sigma + 0.5);
  std::vector<double> weights;
  double sum = 0;
  for (auto d = -radius; d <= radius; ++d) {
    weights.push_back(std::exp(-0.5 * static_cast<double>(d * d) / (sigma * sigma)));
    sum += weights.back();
  }
  std::vector<float> normalised;
  for (auto weight : weights) normalised.push_back(static_cast<float>(weight / sum));
  return normalised;
}

// Index i of a line of n that is mirrored at both ends: ... 1 0 | 0 1 .. n-1 | n-1 n-2 ...
std::int64_t mirrored(std::int64_t i, std::int64_t n) {
  const auto position = ((i % (2 * n)) + 2 * n) % (2 * n);
  return position < n ? position : 2 * n - 1 - position;
}

}  // namespace

void smooth(std::vector<float>& plane, std::int64_t height, std::int64_t width, double sigma) {
  const auto weights = gaussian_weights(sigma);
  const auto taps = static_cast<std::int64_t>(weights.size()), radius = taps / 2;
  std::vector<float> across(plane.size(), 0.F), line(static_cast<std::size_t>(width + 2 * radius));
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = -radius; x < width + radius; ++x) line[x + radius] = plane[y * width + mirrored(x, width)];
    auto* to = across.data() + y * width;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t x = 0; x < width; ++x) to[x] += weights[tap] * line[x + tap];
    }
  }
  std::fill(plane.begin(), plane.end(), 0.F);
  for (std::int64_t y = 0; y < height; ++y) {
    auto* to = plane.data() + y * width;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const auto* from = across.data() + mirrored(y + tap - radius, height) * width;
      for (std::int64_t x = 0; x < width; ++x) to[x] += weights[tap] * from[x];
    }
  }
}

Displacement draw_displacement(std::int64_t height, std::int64_t width, CounterRng& rng) {
  Displacement displacement;
  for (auto* plane : {&displacement.down, &displacement.right}) {
    *plane = normal_noise(height * width, rng);
    smooth(*plane, height, width, kSigma);
    for (auto& move : *plane) move *= static_cast<float>(kAlpha);
  }
  return displacement;
}

Pixels apply(const Displacement& displacement, const Pixels& pixels) {
  const auto width = pixels.labels.size(1);
  return warp(pixels, [&](std::int64_t y, std::int64_t x) {
    const auto i = static_cast<std::size_t>(y * width + x);
    return Point{static_cast<double>(y) + displacement.down[i], static_cast<double>(x) + displacement.right[i]};
  });
}

Pixels elastic(const Pixels& pixels, CounterRng& rng) {
  if (rng.uniform() >= kElasticProbability) return pixels;
  return apply(draw_displacement(pixels.labels.size(0), pixels.labels.size(1), rng), pixels);
}

}  // namespace cellsam::augment
