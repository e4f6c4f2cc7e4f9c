// The table of augmentations, and the one place that knows how their random streams are keyed.
#include <ATen/ATen.h>

#include "augment/augment.h"

namespace cellsam::augment {

#define STEP(NAME) Step NAME##_step();
#include "augment/augmentations.inc"
#undef STEP

namespace {

// Keeps these streams apart from others (the sampler's) of the same seed and epoch.
constexpr std::uint64_t kStream = 0xa06, kPoolStream = 0xa07;

at::Tensor valid_pixels(const at::Tensor& labels, const ValidPart& part) {
  const auto [top, left, height, width] = part;
  auto valid = at::empty({labels.size(0), labels.size(1)}, at::kByte);
  auto* pixel = valid.data_ptr<std::uint8_t>();  // plain loops, as in every step: see warp.h
  for (std::int64_t y = 0; y < labels.size(0); ++y) {
    const bool row = y >= top && y < top + height;
    for (std::int64_t x = 0; x < labels.size(1); ++x) *pixel++ = row && x >= left && x < left + width ? 1 : 0;
  }
  return valid;
}

}  // namespace

const std::vector<Step>& steps() {
#define STEP(NAME) NAME##_step(),
  static const std::vector<Step> table = {
#include "augment/augmentations.inc"
  };
#undef STEP
  return table;
}

Pixels augment(const Pixels& pixels, std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample, Level level) {
  Pixels changed = pixels;
  for (std::size_t i = 0; i < steps().size(); ++i) {
    if (steps()[i].level > level) continue;
    CounterRng rng{kStream, seed, epoch, sample, i};
    changed = steps()[i].apply(changed, rng);
  }
  return changed;
}

Augmenter augmenter(std::uint64_t seed, std::uint64_t epoch, Level level) {
  return [=](const at::Tensor& image, const at::Tensor& labels, const ValidPart& part, std::uint64_t sample) {
    // Lossless steps carry no valid pixels along: padding is moved like the rest and stays 0.
    const auto valid = level == Level::Simple ? at::Tensor() : valid_pixels(labels, part);
    auto changed = augment({image, labels, valid}, seed, epoch, sample, level);
    return std::pair(std::move(changed.image), std::move(changed.labels));
  };
}

Augmenter pooled_augmenter(std::uint64_t seed, std::uint64_t epoch, std::uint64_t variants, Level level) {
  return [=](const at::Tensor& image, const at::Tensor& labels, const ValidPart& part, std::uint64_t sample) {
    const auto variant = CounterRng{kPoolStream, seed, epoch, sample}.below(variants);
    return augmenter(seed, variant, level)(image, labels, part, sample);
  };
}

}  // namespace cellsam::augment
