// The contract of augmentation. What happens to a tile is drawn by a pure function of (seed, epoch, sample) and then applied
// to image and labels together, so any order and any number of threads give the same pixels. An augmentation is a file NAME.cc
// that defines NAME_step(), and a line in augmentations.inc.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace cellsam::augment {

struct Pixels {
  at::Tensor image;       // u8 [3,H,W]
  at::Tensor labels;      // i32 [H,W]
  at::Tensor valid = {};  // u8 [H,W], 0 where a pixel is padding; undefined: every pixel is valid
};

enum class Level {
  Simple,  // flips and quarter turns
  Complex  // and then affine, elastic, brightness
};

// One kind of augmentation: decides by `rng` whether and how it acts, returns new tensors and leaves its argument alone.
struct Step {
  std::string_view name;
  Level level;  // from which on it takes part
  Pixels (*apply)(const Pixels& pixels, CounterRng& rng);
};

// All steps in the order in which they are applied.
const std::vector<Step>& steps();

// Applies every step of the level to one tile. Step number i draws from the stream {seed, epoch, sample, i}: a new step changes
// no other.
Pixels augment(const Pixels& pixels, std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample,
               Level level = Level::Simple);

// Top, left, height and width of the part of a tile that is not padding.
using ValidPart = std::array<std::int64_t, 4>;

// augment() of one epoch in the form that data::BatchLoader takes.
using Augmenter = std::function<std::pair<at::Tensor, at::Tensor>(const at::Tensor& image, const at::Tensor& labels,
                                                                  const ValidPart& valid, std::uint64_t sample)>;
Augmenter augmenter(std::uint64_t seed, std::uint64_t epoch, Level level = Level::Simple);

// The same from a pool of `variants` versions of each tile, those of the epochs 0 .. variants-1, of which the epoch draws one.
Augmenter pooled_augmenter(std::uint64_t seed, std::uint64_t epoch, std::uint64_t variants, Level level);

}  // namespace cellsam::augment
