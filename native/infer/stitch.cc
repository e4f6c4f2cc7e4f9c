#include "infer/stitch.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <ATen/ATen.h>

#include "data/tile.h"

namespace cellsam::infer {
namespace {

constexpr double kSameIou = 0.5;        // of two copies within the zone that both tiles see
constexpr double kSameContained = 0.5;  // share of a cut copy that lies in a complete one

// A copy of a cell as one tile saw it.
struct Copy {
  Instance instance;
  std::size_t tile = 0;
  bool cut = false;
};

// Whether a mask reaches a border of its tile behind which the image goes on.
bool is_cut(const Window& mask, const Window& tile, const TileGrid& grid) {
  return (tile.x > 0 && mask.x <= tile.x) || (tile.y > 0 && mask.y <= tile.y) ||
         (tile.right() < grid.width && mask.right() >= tile.right()) ||
         (tile.bottom() < grid.height && mask.bottom() >= tile.bottom());
}

bool agree(const Copy& a, const Copy& b, const TileGrid& grid) {
  const auto zone = intersect(grid.tiles[a.tile], grid.tiles[b.tile]);
  if (intersect(intersect(a.instance.mask.window, b.instance.mask.window), zone).area() == 0) return false;
  const auto shared = static_cast<double>(shared_area(a.instance.mask, b.instance.mask));
  if (shared == 0) return false;
  const auto either = static_cast<double>(area(a.instance.mask, zone) + area(b.instance.mask, zone)) - shared;
  if (shared >= kSameIou * either) return true;
  if (a.cut == b.cut) return false;
  return shared >= kSameContained * static_cast<double>(area(a.cut ? a.instance.mask : b.instance.mask));
}

// For each copy the copies of other tiles that agree with it. Only neighbours in the grid can.
std::vector<std::vector<std::size_t>> agreements(const std::vector<Copy>& copies, const TileGrid& grid) {
  std::vector<std::vector<std::size_t>> of_tile(grid.tiles.size());
  for (std::size_t i = 0; i < copies.size(); ++i) of_tile[copies[i].tile].push_back(i);
  std::vector<std::vector<std::size_t>> partners(copies.size());
  for (std::size_t first = 0; first < grid.tiles.size(); ++first) {
    for (std::size_t second = first + 1; second < grid.tiles.size(); ++second) {
      if (intersect(grid.tiles[first], grid.tiles[second]).area() == 0) continue;
      for (const auto i : of_tile[first]) {
        for (const auto j : of_tile[second]) {
          if (!agree(copies[i], copies[j], grid)) continue;
          partners[i].push_back(j);
          partners[j].push_back(i);
        }
      }
    }
  }
  return partners;
}

// One instance from copies that each show a part of it, the best first.
Instance united(const std::vector<Copy>& copies, const std::vector<std::size_t>& members) {
  Instance whole = copies[members.front()].instance;
  for (const auto member : members) {
    const auto& part = copies[member].instance;
    whole.mask = unite(whole.mask, part.mask);
    whole.box = {std::min(whole.box[0], part.box[0]), std::min(whole.box[1], part.box[1]), std::max(whole.box[2], part.box[2]),
                 std::max(whole.box[3], part.box[3])};
  }
  return whole;
}

}  // namespace

TileGrid tile_grid(std::int64_t height, std::int64_t width, std::int64_t tile_size, double overlap) {
  const data::TileOptions options{.tile_size = tile_size, .overlap = overlap};
  const auto columns = data::tile_starts(width, options);
  TileGrid grid{height, width, {}};
  for (const auto y : data::tile_starts(height, options)) {
    for (const auto x : columns) grid.tiles.push_back({x, y, tile_size, tile_size});
  }
  return grid;
}

at::Tensor cut_tile(const at::Tensor& image, const Window& tile) {
  const auto part = intersect(tile, {0, 0, image.size(2), image.size(1)});
  const auto seen = image.narrow(1, part.y, part.height).narrow(2, part.x, part.width);
  if (part.width == tile.width && part.height == tile.height) return seen;
  auto cut = at::zeros({image.size(0), tile.height, tile.width}, image.options());
  cut.narrow(1, part.y - tile.y, part.height).narrow(2, part.x - tile.x, part.width).copy_(seen);
  return cut;
}

std::size_t best_tile(const TileGrid& grid, const std::array<double, 4>& box) {
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

std::vector<Instance> stitch(const TileGrid& grid, std::vector<std::vector<Instance>> found) {
  std::vector<Copy> copies;
  for (std::size_t tile = 0; tile < found.size(); ++tile) {
    for (auto& instance : found[tile]) {
      const bool cut = is_cut(instance.mask.window, grid.tiles[tile], grid);
      copies.push_back({std::move(instance), tile, cut});
    }
  }
  std::stable_sort(copies.begin(), copies.end(),
                   [](const Copy& a, const Copy& b) { return a.instance.score > b.instance.score; });
  const auto partners = agreements(copies, grid);

  enum class Fate { Open, Kept, Gone };
  std::vector<Fate> fate(copies.size(), Fate::Open);
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (copies[i].cut || fate[i] == Fate::Gone) continue;
    fate[i] = Fate::Kept;
    for (const auto partner : partners[i]) fate[partner] = Fate::Gone;
  }
  std::vector<Instance> joined;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (fate[i] == Fate::Kept) joined.push_back(std::move(copies[i].instance));
    if (fate[i] != Fate::Open) continue;
    // What is open now is cut and agrees with no complete copy: walk to all its parts.
    std::vector<std::size_t> members = {i};
    fate[i] = Fate::Gone;
    for (std::size_t next = 0; next < members.size(); ++next) {
      for (const auto partner : partners[members[next]]) {
        if (fate[partner] != Fate::Open) continue;
        fate[partner] = Fate::Gone;
        members.push_back(partner);
      }
    }
    joined.push_back(united(copies, members));
  }
  return joined;
}

}  // namespace cellsam::infer
