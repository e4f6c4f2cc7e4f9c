#include "infer/tile_grid.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include <ATen/ATen.h>

#include "data/tile.h"

namespace cellsam::infer {

TileGrid tile_grid(std::int64_t height, std::int64_t width, std::int64_t tile_size, double overlap) {
  const data::TileOptions options{.tile_size = tile_size, .overlap = overlap};
  const auto columns = data::tile_starts(width, options);
  TileGrid grid{height, width, {}};
  for (const auto y : data::tile_starts(height, options)) {
    for (const auto x : columns) grid.tiles.push_back({x, y, tile_size, tile_size});
  }
  return grid;
}

TileGrid grid_of(const at::Tensor& image, const PredictOptions& options) {
  const auto height = image.size(1), width = image.size(2);
  if (options.tile_size > 0) return tile_grid(height, width, options.tile_size, options.tile_overlap);
  return {height, width, {{0, 0, width, height}}};
}

std::vector<Instance> on_image(std::vector<Instance> instances, const Window& tile, const TileGrid& grid) {
  for (auto& instance : instances) {
    instance.mask = clip(moved(std::move(instance.mask), tile.x, tile.y), {0, 0, grid.width, grid.height});
    for (const int corner : {0, 2}) {
      instance.box[corner] += static_cast<double>(tile.x);
      instance.box[corner + 1] += static_cast<double>(tile.y);
    }
  }
  std::erase_if(instances, [](const Instance& instance) { return instance.mask.empty(); });
  return instances;
}

namespace {

struct Span {
  std::int64_t from, to;
};

// By the start of a tile, its share of an axis of `length` pixels, with tiles of `size` at all of `starts`.
std::map<std::int64_t, Span> shares_of(const std::set<std::int64_t>& starts, std::int64_t size, std::int64_t length) {
  std::map<std::int64_t, Span> shares;
  std::int64_t from = 0;
  for (auto start = starts.begin(); start != starts.end(); ++start) {
    const auto next = std::next(start);
    const auto to = next == starts.end() ? length : (*next + *start + size) / 2;
    shares[*start] = {from, to};
    from = to;
  }
  return shares;
}

}  // namespace

std::vector<std::vector<std::size_t>> neighbours_of(const TileGrid& grid) {
  const auto& tiles = grid.tiles;  // row-major
  const auto columns = static_cast<std::size_t>(
      std::count_if(tiles.begin(), tiles.end(), [&](const Window& tile) { return tile.y == tiles.front().y; }));
  std::vector<std::vector<std::size_t>> neighbours(tiles.size());
  for (std::size_t tile = 0; tile < tiles.size(); ++tile) {
    const auto overlaps = [&](std::size_t other) { return intersect(tiles[tile], tiles[other]).area() > 0; };
    const auto row = tile / columns * columns, column = tile % columns;  // of the first tile in the row
    auto top = row, left = column, right = column;
    while (top > 0 && overlaps(top - columns + column)) top -= columns;
    while (left > 0 && overlaps(row + left - 1)) --left;
    while (right + 1 < columns && overlaps(row + right + 1)) ++right;
    for (auto first = top; first < tiles.size() && overlaps(first + column); first += columns) {
      for (auto other = first + left; other <= first + right; ++other) {
        if (other != tile) neighbours[tile].push_back(other);
      }
    }
  }
  return neighbours;
}

std::vector<Window> cores_of(const TileGrid& grid) {
  if (grid.tiles.empty()) return {};
  std::set<std::int64_t> columns, rows;
  for (const auto& tile : grid.tiles) {
    columns.insert(tile.x);
    rows.insert(tile.y);
  }
  const auto across = shares_of(columns, grid.tiles[0].width, grid.width);
  const auto down = shares_of(rows, grid.tiles[0].height, grid.height);
  std::vector<Window> cores;
  for (const auto& tile : grid.tiles) {
    const auto [left, right] = across.at(tile.x);
    const auto [top, bottom] = down.at(tile.y);
    cores.push_back({left, top, right - left, bottom - top});
  }
  return cores;
}

at::Tensor cut_tile(const at::Tensor& image, const Window& tile) {
  const auto part = intersect(tile, {0, 0, image.size(2), image.size(1)});
  const auto inside = image.narrow(1, part.y, part.height).narrow(2, part.x, part.width);
  if (part.width == tile.width && part.height == tile.height) return inside;
  auto cut = at::zeros({image.size(0), tile.height, tile.width}, image.options());
  cut.narrow(1, part.y - tile.y, part.height).narrow(2, part.x - tile.x, part.width).copy_(inside);
  return cut;
}

at::Tensor cut_tiles(const at::Tensor& image, const TileGrid& grid, at::ArrayRef<std::size_t> tiles) {
  if (tiles.size() == 1) return cut_tile(image, grid.tiles[tiles[0]]).unsqueeze(0);  // without a copy
  std::vector<at::Tensor> parts;
  for (const auto tile : tiles) parts.push_back(cut_tile(image, grid.tiles[tile]));
  return at::stack(parts);
}

std::vector<std::size_t> lit_tiles(const at::Tensor& image, const TileGrid& grid) {
  std::vector<std::size_t> lit;
  for (std::size_t i = 0; i < grid.tiles.size(); ++i) {
    if (cut_tile(image, grid.tiles[i]).any().item<bool>()) lit.push_back(i);
  }
  return lit;
}

namespace {

std::size_t best_tile(const TileGrid& grid, const double* box) {
  std::size_t best = 0;
  std::pair<double, double> best_rank = {-1, 0};
  for (std::size_t i = 0; i < grid.tiles.size(); ++i) {
    const auto& tile = grid.tiles[i];
    const double width = std::min(box[2], static_cast<double>(tile.right())) - std::max(box[0], static_cast<double>(tile.x));
    const double height = std::min(box[3], static_cast<double>(tile.bottom())) - std::max(box[1], static_cast<double>(tile.y));
    const double off_centre =
        std::hypot((box[0] + box[2]) / 2 - (static_cast<double>(tile.x) + static_cast<double>(tile.width) / 2),
                   (box[1] + box[3]) / 2 - (static_cast<double>(tile.y) + static_cast<double>(tile.height) / 2));
    const std::pair rank = {std::max(0.0, width) * std::max(0.0, height), -off_centre};
    if (rank <= best_rank) continue;
    best_rank = rank;
    best = i;
  }
  return best;
}

}  // namespace

std::vector<std::vector<std::int64_t>> boxes_by_tile(const TileGrid& grid, const at::Tensor& boxes) {
  const auto rows = boxes.contiguous();
  std::vector<std::vector<std::int64_t>> by_tile(grid.tiles.size());
  for (std::int64_t i = 0; i < rows.size(0); ++i) by_tile[best_tile(grid, rows.const_data_ptr<double>() + 4 * i)].push_back(i);
  return by_tile;
}

at::Tensor boxes_in_tile(const at::Tensor& boxes, const std::vector<std::int64_t>& rows, const Window& tile) {
  return boxes.index_select(0, at::tensor(rows, at::kLong)) - at::tensor({tile.x, tile.y, tile.x, tile.y}, at::kDouble);
}

}  // namespace cellsam::infer
