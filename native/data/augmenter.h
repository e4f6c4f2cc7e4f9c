// How a batch asks for augmented tiles. augment::augmenter() makes functions of this type.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <utility>

#include "data/tile.h"

namespace cellsam::data {

// Changes the image u8 [3,T,T] and the labels i32 [T,T] of tile number `sample` in the same way and returns both. valid: the
// part of the tile that is not padding. Must be a pure function, which any thread may call.
using Augmenter = std::function<std::pair<at::Tensor, at::Tensor>(const at::Tensor& image, const at::Tensor& labels,
                                                                  const Rect& valid, std::uint64_t sample)>;

}  // namespace cellsam::data
