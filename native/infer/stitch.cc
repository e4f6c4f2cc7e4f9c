#include "infer/stitch.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace cellsam::infer {
namespace {

constexpr double kSameIou = 0.5;        // of two detections within the zone that both tiles see
constexpr double kSameContained = 0.5;  // fraction of a cut detection that lies in a complete one

bool is_cut(const Window& mask, const Window& tile, const TileGrid& grid) {
  return (tile.x > 0 && mask.x <= tile.x) || (tile.y > 0 && mask.y <= tile.y) ||
         (tile.right() < grid.width && mask.right() >= tile.right()) ||
         (tile.bottom() < grid.height && mask.bottom() >= tile.bottom());
}

bool is_centred_in(const Window& mask, const Window& core) {
  const auto x = mask.x + mask.right(), y = mask.y + mask.bottom();  // twice the centre
  return x >= 2 * core.x && x < 2 * core.right() && y >= 2 * core.y && y < 2 * core.bottom();
}

bool same_cell(const TileInstance& a, const TileInstance& b, const TileGrid& grid) {
  const auto zone = intersect(grid.tiles[a.tile], grid.tiles[b.tile]);
  if (intersect(intersect(a.instance.mask.window, b.instance.mask.window), zone).area() == 0) return false;
  const auto shared = static_cast<double>(intersection_area(a.instance.mask, b.instance.mask));
  if (shared == 0) return false;
  const auto either = static_cast<double>(area(a.instance.mask, zone) + area(b.instance.mask, zone)) - shared;
  if (shared >= kSameIou * either) return true;
  if (a.cut == b.cut) return false;
  return shared >= kSameContained * static_cast<double>(area(a.cut ? a.instance.mask : b.instance.mask));
}

// One instance from detections that each show a part of it, the best first.
Instance unite_parts(const std::vector<TileInstance>& detections, const std::vector<std::size_t>& members) {
  Instance whole = detections[members.front()].instance;
  for (const auto member : members) {
    const auto& part = detections[member].instance;
    whole.mask = unite(whole.mask, part.mask);
    whole.box = {std::min(whole.box[0], part.box[0]), std::min(whole.box[1], part.box[1]), std::max(whole.box[2], part.box[2]),
                 std::max(whole.box[3], part.box[3])};
  }
  return whole;
}

}  // namespace

std::vector<TileInstance> detections_of(const TileGrid& grid, std::vector<std::vector<Instance>> found) {
  const auto cores = cores_of(grid);
  std::vector<TileInstance> detections;
  for (std::size_t tile = 0; tile < found.size(); ++tile) {
    for (auto& instance : found[tile]) {
      const bool cut = is_cut(instance.mask.window, grid.tiles[tile], grid);
      if (cut && !is_centred_in(instance.mask.window, cores[tile])) continue;
      detections.push_back({std::move(instance), tile, cut});
    }
  }
  std::stable_sort(detections.begin(), detections.end(),
                   [](const TileInstance& a, const TileInstance& b) { return a.instance.score > b.instance.score; });
  return detections;
}

std::vector<std::vector<std::size_t>> partners_of(const std::vector<TileInstance>& detections, const TileGrid& grid) {
  std::vector<std::vector<std::size_t>> of_tile(grid.tiles.size());
  for (std::size_t i = 0; i < detections.size(); ++i) of_tile[detections[i].tile].push_back(i);
  std::vector<std::vector<std::size_t>> partners(detections.size());
  const auto neighbours = neighbours_of(grid);
  for (std::size_t first = 0; first < grid.tiles.size(); ++first) {
    for (const auto second : neighbours[first]) {
      if (second < first) continue;
      for (const auto i : of_tile[first]) {
        for (const auto j : of_tile[second]) {
          if (!same_cell(detections[i], detections[j], grid)) continue;
          partners[i].push_back(j);
          partners[j].push_back(i);
        }
      }
    }
  }
  return partners;
}

std::vector<JoinedCell> join(const std::vector<TileInstance>& detections, const std::vector<std::vector<std::size_t>>& partners,
                             const std::vector<std::size_t>& members) {
  enum class State { Open, Kept, Removed };
  std::unordered_map<std::size_t, State> states;
  for (const auto i : members) states[i] = State::Open;
  for (const auto i : members) {
    if (detections[i].cut || states[i] == State::Removed) continue;
    states[i] = State::Kept;
    for (const auto partner : partners[i]) {
      if (const auto found = states.find(partner); found != states.end()) found->second = State::Removed;
    }
  }
  std::vector<JoinedCell> cells;
  for (const auto i : members) {
    if (states[i] == State::Kept) cells.push_back({detections[i].instance, i});
    if (states[i] != State::Open) continue;
    // The detections that are still open are cut and are no part of a complete one: collect all parts of this cell.
    std::vector<std::size_t> parts = {i};
    states[i] = State::Removed;
    for (std::size_t next = 0; next < parts.size(); ++next) {
      for (const auto partner : partners[parts[next]]) {
        const auto found = states.find(partner);
        if (found == states.end() || found->second != State::Open) continue;
        found->second = State::Removed;
        parts.push_back(partner);
      }
    }
    cells.push_back({unite_parts(detections, parts), i});
  }
  return cells;
}

std::vector<Instance> stitch(const TileGrid& grid, std::vector<std::vector<Instance>> found) {
  const auto detections = detections_of(grid, std::move(found));
  std::vector<std::size_t> all(detections.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::vector<Instance> instances;
  for (auto& cell : join(detections, partners_of(detections, grid), all)) instances.push_back(std::move(cell.instance));
  return instances;
}

}  // namespace cellsam::infer
