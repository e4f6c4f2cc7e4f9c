#include "augment/brightness.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace cellsam::augment {
namespace {

constexpr double kBrightnessProbability = 0.6, kBound = 0.1;

}  // namespace

Brightness draw_brightness(CounterRng& rng) {
  const double contrast = kBound * (2 * rng.uniform() - 1);
  return {contrast, kBound * (2 * rng.uniform() - 1)};
}

Pixels apply(const Brightness& change, const Pixels& pixels) {
  std::array<std::uint8_t, 256> level{};
  for (int i = 0; i < 256; ++i) {
    const double value = i * (1 + change.contrast) + 255 * change.brightness;
    level[i] = static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
  }
  const auto image = pixels.image.contiguous();
  const auto valid = pixels.valid.defined() ? pixels.valid.contiguous() : at::Tensor();
  const auto* valid_pixel = valid.defined() ? valid.data_ptr<std::uint8_t>() : nullptr;
  const auto area = image.size(1) * image.size(2);
  Pixels changed{at::empty_like(image), pixels.labels, pixels.valid};
  for (std::int64_t c = 0; c < image.size(0); ++c) {
    const auto* from = image.data_ptr<std::uint8_t>() + c * area;
    auto* to = changed.image.data_ptr<std::uint8_t>() + c * area;
    if (std::all_of(from, from + area, [](std::uint8_t value) { return value == 0; })) {
      std::fill_n(to, area, 0);
    } else if (valid_pixel == nullptr) {
      for (std::int64_t i = 0; i < area; ++i) to[i] = level[from[i]];
    } else {  // valid is 0 or 1
      for (std::int64_t i = 0; i < area; ++i) to[i] = static_cast<std::uint8_t>(level[from[i]] * valid_pixel[i]);
    }
  }
  return changed;
}

Pixels brightness(const Pixels& pixels, CounterRng& rng) {
  return rng.uniform() < kBrightnessProbability ? apply(draw_brightness(rng), pixels) : pixels;
}

}  // namespace cellsam::augment
