// Cuts a source image into tiles of one size: padded with zeros to at least one tile, then to a whole number of
// strides; of the padding, the floor half goes before and the rest after.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "settings/tiling.h"

namespace cellsam::data {

struct TileOptions {
  std::int64_t tile_size = setting::tiling::tile_size.default_value;  // pixels, T
  double overlap = setting::tiling::overlap.default_value;  // of neighbouring tiles, below 1; stride = T * (1 - overlap)
  // Pixels; smaller pieces of an instance that the tile's edge cut are removed.
  std::int64_t min_fragment_area = setting::tiling::min_fragment_area.default_value;
};

// Part of a tile, in its own pixels, that lies on the source image; the rest is padding.
struct Rect {
  std::int64_t y = 0, x = 0, height = 0, width = 0;
};

struct Tile {
  at::Tensor image;    // u8 [3,T,T]
  at::Tensor labels;   // i32 [T,T], ids of the source
  std::int64_t y = 0;  // source row of the tile's first row; negative where the tile begins in the padding
  std::int64_t x = 0;  // source column, likewise
  Rect valid;
};

// Where the tiles of one axis of `length` pixels begin, in source pixels, ascending. No tile can be padding alone: the
// padding before is at most half a stride.
std::vector<std::int64_t> tile_starts(std::int64_t length, const TileOptions& options);

// `image` u8 [3,H,W], `labels` i32 [H,W] -> tiles in row-major order. ERR_INVALID_ARGUMENT for options out of range.
std::vector<Tile> cut_tiles(const at::Tensor& image, const at::Tensor& labels, const TileOptions& options);

}  // namespace cellsam::data
