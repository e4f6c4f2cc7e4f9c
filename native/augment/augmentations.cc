#include "augment/augmentations.h"

#include <ATen/ATen.h>

#include <utility>

namespace cellsam::augment {

#define AUGMENTATION(NAME, LEVEL) Pixels NAME(const Pixels& pixels, CounterRng& rng);
#include "augment/augmentations.inc"
#undef AUGMENTATION

namespace {

// Keys of random streams, which the sampler's and the prompts' do not use.
constexpr std::uint64_t kStream = 0xa06, kPoolStream = 0xa07;

at::Tensor valid_pixels(const at::Tensor& labels, const data::Rect& part) {
  auto valid = at::empty({labels.size(0), labels.size(1)}, at::kByte);
  auto* pixel = valid.data_ptr<std::uint8_t>();  // plain loops, as in every augmentation: see warp.h
  for (std::int64_t y = 0; y < labels.size(0); ++y) {
    const bool row = y >= part.y && y < part.y + part.height;
    for (std::int64_t x = 0; x < labels.size(1); ++x) *pixel++ = row && x >= part.x && x < part.x + part.width ? 1 : 0;
  }
  return valid;
}

}  // namespace

const std::vector<Augmentation>& augmentations() {
#define AUGMENTATION(NAME, LEVEL) {#NAME, LEVEL, NAME},
  static const std::vector<Augmentation> table = {
#include "augment/augmentations.inc"
  };
#undef AUGMENTATION
  return table;
}

Pixels augment(const Pixels& pixels, std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample, Level level) {
  Pixels augmented = pixels;
  for (std::size_t i = 0; i < augmentations().size(); ++i) {
    const auto& augmentation = augmentations()[i];
    if (augmentation.level > level) continue;
    CounterRng rng{kStream, seed, epoch, sample, i};
    augmented = augmentation.apply(augmented, rng);
  }
  return augmented;
}

data::Augmenter augmenter(std::uint64_t seed, std::uint64_t epoch, Level level) {
  return [=](const at::Tensor& image, const at::Tensor& labels, const data::Rect& part, std::uint64_t sample) {
    // Flips and turns move the padding like other pixels, and it stays 0: they need not know which pixels are valid.
    const auto valid = level == Level::Simple ? at::Tensor() : valid_pixels(labels, part);
    auto augmented = augment({image, labels, valid}, seed, epoch, sample, level);
    return std::pair(std::move(augmented.image), std::move(augmented.labels));
  };
}

data::Augmenter pooled_augmenter(std::uint64_t seed, std::uint64_t epoch, std::uint64_t variants, Level level) {
  return [=](const at::Tensor& image, const at::Tensor& labels, const data::Rect& part, std::uint64_t sample) {
    const auto variant = CounterRng{kPoolStream, seed, epoch, sample}.below(variants);
    return augmenter(seed, variant, level)(image, labels, part, sample);
  };
}

}  // namespace cellsam::augment
