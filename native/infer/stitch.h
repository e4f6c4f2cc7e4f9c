// Joins the cells that tiles detected, so that a cell which a tile border cuts, or which several tiles see, is one instance.
#pragma once

#include <cstddef>
#include <vector>

#include "infer/mask.h"
#include "infer/tile_grid.h"

namespace cellsam::infer {

// A cell as one tile detected it.
struct TileInstance {
  Instance instance;  // in pixels of the image
  std::size_t tile = 0;
  bool cut = false;  // whether it touches a border of its tile behind which the image goes on
};

// The detections of all tiles, by falling score; those of equal score in the order of tiles. found: one list for each tile. A
// cut one whose centre is in the core of another tile is left out: that tile shows more of the cell, and all of it where tiles
// overlap by at least the size of the cell. Three quarters of what that tile did not find there are no cells
// (cellsam-tiny on its validation images).
std::vector<TileInstance> detections_of(const TileGrid& grid, std::vector<std::vector<Instance>> found);

// For each detection the indices of those of other tiles that show the same cell. Two show the same cell if their masks have an
// IoU of at least 0.5 within the zone that both tiles see, or if half of a cut one lies in a complete one.
std::vector<std::vector<std::size_t>> partners_of(const std::vector<TileInstance>& detections, const TileGrid& grid);

struct JoinedCell {
  Instance instance;
  std::size_t rank = 0;  // index of its best detection
};

// Joins the detections `members` (ascending indices) as if there were no others. Of those that show the same cell, the best
// complete one stays and its partners are removed. Cut ones without a complete partner are united with their partners, and get
// the highest score of them. Returns the cells by rank.
std::vector<JoinedCell> join(const std::vector<TileInstance>& detections, const std::vector<std::vector<std::size_t>>& partners,
                             const std::vector<std::size_t>& members);

// All of the above: the instances of an image, best score first.
std::vector<Instance> stitch(const TileGrid& grid, std::vector<std::vector<Instance>> found);

}  // namespace cellsam::infer
