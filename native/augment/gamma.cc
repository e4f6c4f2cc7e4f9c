#include "augment/gamma.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace cellsam::augment {
namespace {

constexpr double kGammaProbability = 0.6, kLogBound = 0.3;

using Levels = std::array<std::uint8_t, 256>;

Levels levels_of(double gamma) {
  Levels levels{};
  for (int i = 0; i < 256; ++i) levels[i] = static_cast<std::uint8_t>(std::lround(255 * std::pow(i / 255.0, gamma)));
  return levels;
}

// Whether the channels of `image` u8 [3,H,W] are equal but for those that are 0 everywhere.
bool is_grey(const at::Tensor& image) {
  at::Tensor first;
  for (const auto& channel : image.unbind()) {
    if (!channel.any().item<bool>()) continue;
    if (first.defined() && !channel.equal(first)) return false;
    first = channel;
  }
  return true;
}

}  // namespace

Gamma draw_gamma(CounterRng& rng) {
  Gamma gamma{};
  for (auto& power : gamma.of_channel) power = std::exp(kLogBound * (2 * rng.uniform() - 1));
  return gamma;
}

Pixels apply(const Gamma& gamma, const Pixels& pixels) {
  const auto image = pixels.image.contiguous();
  const bool grey = is_grey(image);
  const auto area = image.size(1) * image.size(2);
  Pixels changed{at::empty_like(image), pixels.labels, pixels.valid};
  for (std::size_t c = 0; c < gamma.of_channel.size(); ++c) {
    const auto levels = levels_of(gamma.of_channel[grey ? 0 : c]);
    const auto* from = image.const_data_ptr<std::uint8_t>() + static_cast<std::int64_t>(c) * area;
    auto* to = changed.image.data_ptr<std::uint8_t>() + static_cast<std::int64_t>(c) * area;
    std::transform(from, from + area, to, [&levels](std::uint8_t value) { return levels[value]; });
  }
  return changed;
}

Pixels gamma(const Pixels& pixels, CounterRng& rng) {
  return rng.uniform() < kGammaProbability ? apply(draw_gamma(rng), pixels) : pixels;
}

}  // namespace cellsam::augment
