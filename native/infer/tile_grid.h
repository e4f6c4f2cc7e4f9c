// The tiles of images that are larger than what the model should see at once, cut as in training.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/options.h"

namespace cellsam::infer {

struct TileGrid {
  std::int64_t height = 0;  // of the image
  std::int64_t width = 0;
  std::vector<Window> tiles;  // row-major, in pixels of the image; a tile that reaches out of the image sees zeros there
};

// The tiles of data::tile_starts; an image smaller than a tile is in the centre of one. Throws ERR_INVALID_ARGUMENT for a size
// or an overlap out of range.
TileGrid tile_grid(std::int64_t height, std::int64_t width, std::int64_t tile_size, double overlap);

// The tiles that the options ask for; without tiling a single one, which is the whole image [C,H,W].
TileGrid grid_of(const at::Tensor& image, const PredictOptions& options);

// For each tile the part of the image that it shows best: the tiles share out the image, and two neighbours meet in the middle
// of what both show.
std::vector<Window> cores_of(const TileGrid& grid);

// For each tile the indices of the others that show some of the same pixels, ascending.
std::vector<std::vector<std::size_t>> neighbours_of(const TileGrid& grid);

// The pixels of `tile` of `image` [C,H,W], zeros outside of the image: [C,tile.height,tile.width].
at::Tensor cut_tile(const at::Tensor& image, const Window& tile);

// Those of `tiles`, indices of tiles of the grid: [B,C,h,w].
at::Tensor cut_tiles(const at::Tensor& image, const TileGrid& grid, at::ArrayRef<std::size_t> tiles);

// The indices of the tiles that are not all black.
std::vector<std::size_t> lit_tiles(const at::Tensor& image, const TileGrid& grid);

// For each tile the rows of `boxes` (f64 [n,4] as (x1, y1, x2, y2), CPU) that it shows best: of all tiles it shows most of the
// box, and of equal ones its centre is nearest.
std::vector<std::vector<std::int64_t>> boxes_by_tile(const TileGrid& grid, const at::Tensor& boxes);

// Some of the boxes f64 [n,4], `rows`, from pixels of the image to pixels of the tile.
at::Tensor boxes_in_tile(const at::Tensor& boxes, const std::vector<std::int64_t>& rows, const Window& tile);

// Moves instances from pixels of the tile to pixels of the image. Masks
// are clipped to the image; those without pixels are left out.
std::vector<Instance> on_image(std::vector<Instance> instances, const Window& tile, const TileGrid& grid);

}  // namespace cellsam::infer
