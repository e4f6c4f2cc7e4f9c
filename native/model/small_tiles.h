// Whether a network's tiles are so small that a thread should go through one alone.
#pragma once

#include "model/model_size.h"

namespace cellsam::model {

// By the numbers in a tile's image tokens. `tiny` has 24 576: with two threads inside of its operators a tile takes about as
// long as with one, as they wait for each other at each of hundreds. vit_b has 3.1 million: two threads are 1.8 times as fast,
// and every tile on its way takes gigabytes.
inline bool has_small_tiles(const ModelSize& size) {
  constexpr std::int64_t kSmall = 1 << 18;
  return size.grid() * size.grid() * size.embed_dim <= kSmall;
}

}  // namespace cellsam::model
