// Augmentation of tiles. What happens to a tile is drawn by a pure function of (seed, epoch, sample) and applied to image and
// labels together, so that any order of work and any number of threads give the same pixels.
//
// A new augmentation is a file of its own and a line in augmentations.inc; docs/extending.md has an example.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "data/augmenter.h"

namespace cellsam::augment {

// A tile.
struct Pixels {
  at::Tensor image;       // u8 [3,H,W]
  at::Tensor labels;      // i32 [H,W]
  at::Tensor valid = {};  // u8 [H,W], 0 where a pixel is padding; undefined: every pixel is valid
};

enum class Level {
  Simple,  // flips and quarter turns
  Complex  // these and affine and elastic deformation, brightness, contrast and gamma
};

struct Augmentation {
  std::string_view name;
  Level level;  // the lowest that includes it
  // Draws whether and how the tile changes and returns new tensors, or the same where nothing changes.
  Pixels (*apply)(const Pixels& pixels, CounterRng& rng);
};

// All augmentations in the order in which they are applied.
const std::vector<Augmentation>& augmentations();

// Applies every augmentation of the level to a tile. Number i of the table draws from the stream {seed, epoch, sample, i}, so
// that one that is appended changes no other.
Pixels augment(const Pixels& pixels, std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample,
               Level level = Level::Simple);

// augment() of one epoch, for data::BatchLoader.
data::Augmenter augmenter(std::uint64_t seed, std::uint64_t epoch, Level level = Level::Simple);

// The same from a pool of `variants` versions of each tile, those of the epochs 0 to variants - 1. The epoch draws one of them.
data::Augmenter pooled_augmenter(std::uint64_t seed, std::uint64_t epoch, std::uint64_t variants, Level level);

}  // namespace cellsam::augment
