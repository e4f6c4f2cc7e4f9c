#include "augment/elastic.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "augment/warp.h"
#include "kernels/smooth_row.h"
#include "kernels/strided_copy.h"

namespace cellsam::augment {
namespace {

constexpr double kElasticProbability = 0.4, kAlpha = 120, kSigma = 8.4;

// Independent numbers of mean 0 and variance 1: the sum of four uniform ones, which the smoothing makes normal. Drawing them as
// normal numbers took as long as the smoothing.
std::vector<float> white_noise(std::int64_t count, CounterRng& rng) {
  constexpr auto kMean = 2 * 0xffff;
  constexpr auto kScale = static_cast<float>(std::numbers::sqrt3 / 0x10000);
  std::vector<float> noise(static_cast<std::size_t>(count));
  for (auto& value : noise) {
    const auto bits = rng.next();
    const auto sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    value = kScale * static_cast<float>(static_cast<int>(sum) - kMean);
  }
  return noise;
}

// Of the distances 0, 1, ...; those of both directions add up to 1.
std::vector<float> gaussian_weights(double sigma) {
  const auto radius = static_cast<std::int64_t>(4 * sigma + 0.5);
  std::vector<double> weights;
  double sum = 0;
  for (std::int64_t d = 0; d <= radius; ++d) {
    weights.push_back(std::exp(-0.5 * static_cast<double>(d * d) / (sigma * sigma)));
    sum += d == 0 ? weights.back() : 2 * weights.back();
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

void smooth_rows(std::vector<float>& plane, std::int64_t height, std::int64_t width, const std::vector<float>& weights) {
  const auto radius = std::ssize(weights) - 1;
  std::vector<float> line(static_cast<std::size_t>(width + 2 * radius));
  for (std::int64_t y = 0; y < height; ++y) {
    auto* const row = plane.data() + y * width;
    for (std::int64_t i = 0; i < radius; ++i) {
      line[i] = row[mirrored(i - radius, width)];
      line[radius + width + i] = row[mirrored(width + i, width)];
    }
    std::copy_n(row, width, line.data() + radius);
    kernels::smooth_row(line.data() + radius, row, width, weights.data(), radius);
  }
}

// [height,width] to [width,height]
std::vector<float> transposed(const std::vector<float>& plane, std::int64_t height, std::int64_t width) {
  std::vector<float> result(plane.size());
  kernels::strided_copy(plane.data(), result.data(), {width, height, 0, 1, width});
  return result;
}

}  // namespace

// Columns as rows of the transposed plane: a column's neighbours do not stay in the fastest cache.
void smooth(std::vector<float>& plane, std::int64_t height, std::int64_t width, double sigma) {
  const auto weights = gaussian_weights(sigma);
  smooth_rows(plane, height, width, weights);
  auto columns = transposed(plane, height, width);
  smooth_rows(columns, width, height, weights);
  plane = transposed(columns, width, height);
}

Displacement draw_displacement(std::int64_t height, std::int64_t width, CounterRng& rng) {
  Displacement displacement;
  for (auto* plane : {&displacement.down, &displacement.right}) {
    *plane = white_noise(height * width, rng);
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
