#include "infer/stitch.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>
#include <utility>

#include <ATen/ATen.h>

#include "data/tile.h"

namespace cellsam::infer {
namespace {

constexpr double kSameIou = 0.5;        // of two copies within the zone that both tiles see
constexpr double kSameContained = 0.5;  // share of a cut copy that lies in a complete one

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

std::vector<Copy> copies_of(const TileGrid& grid, std::vector<std::vector<Instance>> found) {
  std::vector<Copy> copies;
  for (std::size_t tile = 0; tile < found.size(); ++tile) {
    for (auto& instance : found[tile]) {
      const bool cut = is_cut(instance.mask.window, grid.tiles[tile], grid);
      copies.push_back({std::move(instance), tile, cut});
    }
  }
  std::stable_sort(copies.begin(), copies.end(),
                   [](const Copy& a, const Copy& b) { return a.instance.score > b.instance.score; });
  return copies;
}

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

std::vector<Joined> join(const std::vector<Copy>& copies, const std::vector<std::vector<std::size_t>>& partners,
                         const std::vector<std::size_t>& members) {
  enum class Fate { Open, Kept, Gone };
  std::unordered_map<std::size_t, Fate> fate;
  for (const auto i : members) fate[i] = Fate::Open;
  for (const auto i : members) {
    if (copies[i].cut || fate[i] == Fate::Gone) continue;
    fate[i] = Fate::Kept;
    for (const auto partner : partners[i]) {
      if (const auto found = fate.find(partner); found != fate.end()) found->second = Fate::Gone;
    }
  }
  std::vector<Joined> joined;
  for (const auto i : members) {
    if (fate[i] == Fate::Kept) joined.push_back({copies[i].instance, i});
    if (fate[i] != Fate::Open) continue;
    // What is open now is cut and agrees with no complete copy: walk to all its parts.
    std::vector<std::size_t> parts = {i};
    fate[i] = Fate::Gone;
    for (std::size_t next = 0; next < parts.size(); ++next) {
      for (const auto partner : partners[parts[next]]) {
        const auto found = fate.find(partner);
        if (found == fate.end() || found->second != Fate::Open) continue;
        found->second = Fate::Gone;
        parts.push_back(partner);
      }
    }
    joined.push_back({united(copies, parts), i});
  }
  return joined;
}

std::vector<Instance> stitch(const TileGrid& grid, std::vector<std::vector<Instance>> found) {
  const auto copies = copies_of(grid, std::move(found));
  std::vector<std::size_t> all(copies.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::vector<Instance> cells;
  for (auto& cell : join(copies, agreements(copies, grid), all)) cells.push_back(std::move(cell.instance));
  return cells;
}

}  // namespace cellsam::infer
