// The contract of augmentation. What happens to a tile is drawn by a pure function of (seed, epoch, sample) and then applied
// to image and labels together, so any order and any number of threads give the same pixels. A step is one entry of the
// table (table.cc): new kinds (affine, elastic, brightness) are new files and new rows, nothing else.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace cellsam::augment {

struct Pixels {
  at::Tensor image;   // u8 [3,H,W]
  at::Tensor labels;  // i32 [H,W]
};

// One kind of augmentation: draws its own parameters from `rng`, returns new tensors and leaves its argument alone.
struct Step {
  std::string_view name;
  Pixels (*apply)(const Pixels& pixels, CounterRng& rng);
};

// All steps in the order in which they are applied.
const std::vector<Step>& steps();

// Applies every step to one tile. Step number i draws from the stream {seed, epoch, sample, i}: a new step changes no other.
Pixels augment(const Pixels& pixels, std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample);

// augment() of one epoch in the form that data::BatchLoader takes.
using Augmenter =
    std::function<std::pair<at::Tensor, at::Tensor>(const at::Tensor& image, const at::Tensor& labels, std::uint64_t sample)>;
Augmenter augmenter(std::uint64_t seed, std::uint64_t epoch);

}  // namespace cellsam::augment
