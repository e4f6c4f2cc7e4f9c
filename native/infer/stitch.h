// Images larger than what the model should see at once: tiles cut as in training, and the joining of cells that tile borders
// cut.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "infer/mask.h"
#include "infer/options.h"

namespace cellsam::infer {

struct TileGrid {
  std::int64_t height = 0;  // of the image
  std::int64_t width = 0;
  std::vector<Window> tiles;  // row-major, in pixels of the image; where a tile leaves the image it sees zeros
};

// The grid of data::tile_starts: an image smaller than a tile sits in the centre of one.
// Throws ERR_INVALID_ARGUMENT for a size or an overlap out of range.
TileGrid tile_grid(std::int64_t height, std::int64_t width, std::int64_t tile_size, double overlap);

// The grid of the options; without tiles one tile, which is the image [C,H,W].
TileGrid grid_of(const at::Tensor& image, const PredictOptions& options);

// The pixels of `tile` of `image` [C,H,W], zeros outside of it: [C,tile.height,tile.width].
at::Tensor cut_tile(const at::Tensor& image, const Window& tile);

// The tile that shows most of a box (x1, y1, x2, y2), the most central one on ties.
std::size_t best_tile(const TileGrid& grid, const std::array<double, 4>& box);

// Instances in pixels of `tile`, in pixels of the image; what lies on the padding goes.
std::vector<Instance> on_image(std::vector<Instance> instances, const Window& tile, const TileGrid& grid);

// A copy of a cell as one tile saw it.
struct Copy {
  Instance instance;
  std::size_t tile = 0;
  bool cut = false;  // reaches a border of its tile behind which the image goes on
};

// All copies, best score first; equal scores in order of tiles.
std::vector<Copy> copies_of(const TileGrid& grid, std::vector<std::vector<Instance>> found);

// For each copy the copies of other tiles that show the same cell. Two copies agree if their masks have an IoU of at least 0.5
// within the zone that both tiles see, or if half of a cut one lies in a complete one.
std::vector<std::vector<std::size_t>> agreements(const std::vector<Copy>& copies, const TileGrid& grid);

// A cell, and the place of its best copy among all copies.
struct Joined {
  Instance instance;
  std::size_t rank = 0;
};

// The cells that `members` (ascending places in `copies`) make when nothing else was found. Of agreeing copies the best
// complete one stays and cut ones that agree with it go; cut ones that agree with one another and with no complete one unite,
// with the highest score of them. By rank.
std::vector<Joined> join(const std::vector<Copy>& copies, const std::vector<std::vector<std::size_t>>& partners,
                         const std::vector<std::size_t>& members);

// Joins the answers per tile (instances in pixels of the image, clipped to it; one list per tile of the grid) into one list,
// best score first.
std::vector<Instance> stitch(const TileGrid& grid, std::vector<std::vector<Instance>> found);

}  // namespace cellsam::infer
