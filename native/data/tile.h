// Cuts a source image into square tiles. The image is padded with zeros to at least one tile and to a whole number of strides;
// half of the padding, rounded down, goes before the image and the rest after it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "settings/tiling.h"

namespace cellsam::data {

struct TileOptions {
  std::int64_t tile_size = setting::tiling::tile_size.default_value;  // pixels, T
  double overlap = setting::tiling::overlap.default_value;  // fraction that neighbours share; stride = round(T * (1 - overlap))
  // Pixels; an instance cut by a tile's edge is removed where less than this is left of it.
  std::int64_t min_fragment_area = setting::tiling::min_fragment_area.default_value;
};

// A rectangle in the pixels of a tile.
struct Rect {
  std::int64_t y = 0, x = 0, height = 0, width = 0;
};

struct Tile {
  at::Tensor image;    // u8 [3,T,T]
  at::Tensor labels;   // i32 [T,T], ids as in the source
  std::int64_t y = 0;  // source row of the tile's first row; negative where the tile begins in the padding
  std::int64_t x = 0;  // source column, likewise
  Rect valid;          // the part that is not padding
};

// The first source pixels of the tiles along an axis of `length` pixels, ascending. No tile is padding alone, as the padding
// before the image is at most half a stride.
std::vector<std::int64_t> tile_starts(std::int64_t length, const TileOptions& options);

// Image u8 [3,H,W] and labels i32 [H,W] -> tiles in row-major order. Throws ERR_INVALID_ARGUMENT for options out of range.
std::vector<Tile> cut_tiles(const at::Tensor& image, const at::Tensor& labels, const TileOptions& options);

}  // namespace cellsam::data
