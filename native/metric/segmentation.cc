#include "metric/segmentation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <ATen/ATen.h>

#include "engine.h"

namespace cellsam::metric {
namespace {

struct Pixel {
  std::int64_t y, x;
};

std::vector<Pixel> boundary_of(const at::Tensor& labels, const at::Tensor& ignored) {
  const std::int64_t height = labels.size(0), width = labels.size(1);
  const auto* ids = labels.const_data_ptr<std::int32_t>();
  const auto* is_ignored = ignored.defined() ? ignored.const_data_ptr<bool>() : nullptr;
  std::vector<Pixel> found;
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const auto here = y * width + x;
      if (ids[here] == 0) continue;
      const auto differs = [&](bool inside, std::int64_t there) {
        return inside && ids[there] != ids[here] && (is_ignored == nullptr || !is_ignored[there]);
      };
      if (differs(y > 0, here - width) || differs(y + 1 < height, here + width) || differs(x > 0, here - 1) ||
          differs(x + 1 < width, here + 1)) {
        found.push_back({y, x});
      }
    }
  }
  return found;
}

// How many of `pixels` have one of `others` within the tolerance.
std::int64_t count_near(const std::vector<Pixel>& pixels, const std::vector<Pixel>& others, std::int64_t height,
                        std::int64_t width, double tolerance) {
  std::vector<bool> reached(static_cast<std::size_t>(height * width), false);
  const auto reach = static_cast<std::int64_t>(tolerance);
  for (std::int64_t dy = -reach; dy <= reach; ++dy) {
    const auto side = static_cast<std::int64_t>(std::sqrt(tolerance * tolerance - static_cast<double>(dy * dy)));
    for (const auto& [y, x] : others) {
      if (y + dy < 0 || y + dy >= height) continue;
      const auto from = std::max<std::int64_t>(0, x - side), to = std::min(width - 1, x + side);
      std::fill(reached.begin() + (y + dy) * width + from, reached.begin() + (y + dy) * width + to + 1, true);
    }
  }
  return std::count_if(pixels.begin(), pixels.end(), [&](const Pixel& pixel) { return reached[pixel.y * width + pixel.x]; });
}

}  // namespace

ForegroundPixels foreground(const OverlapTable& table) {
  ForegroundPixels pixels;
  pixels.truth = std::accumulate(table.truth_areas.begin(), table.truth_areas.end(), std::int64_t{0});
  pixels.predicted = std::accumulate(table.predicted_areas.begin(), table.predicted_areas.end(), std::int64_t{0});
  for (const auto& overlap : table.overlaps) pixels.shared += overlap.shared;
  return pixels;
}

double seg_sum(const OverlapTable& table) {
  double sum = 0;
  // Only one prediction can cover more than half of a true instance.
  for (const auto& overlap : table.overlaps) sum += 2 * overlap.shared > table.truth_areas[overlap.truth] ? overlap.iou : 0;
  return sum;
}

BoundaryCounts boundary_counts(const at::Tensor& truth, const at::Tensor& prediction, const at::Tensor& ignored,
                               double tolerance) {
  if (!(tolerance >= 0 && tolerance <= 64)) {
    throw Error("ERR_INVALID_ARGUMENT", "the boundary tolerance must lie in 0..64 pixels", {{"tolerance", tolerance}});
  }
  const auto height = truth.size(0), width = truth.size(1);
  const auto a = boundary_of(truth, ignored), b = boundary_of(prediction, ignored);
  return {static_cast<std::int64_t>(a.size()), static_cast<std::int64_t>(b.size()), count_near(a, b, height, width, tolerance),
          count_near(b, a, height, width, tolerance)};
}

}  // namespace cellsam::metric
