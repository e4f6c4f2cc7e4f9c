#include "data/tile.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "engine.h"

namespace cellsam::data {
namespace {

using Areas = std::unordered_map<std::int32_t, std::int64_t>;

Areas areas_of(const at::Tensor& labels) {
  Areas areas;
  const auto* id = labels.data_ptr<std::int32_t>();
  const auto* end = id + labels.numel();
  while (id != end) {  // one look-up for each run of equal ids
    const auto* start = id;
    while (id != end && *id == *start) ++id;
    if (*start > 0) areas[*start] += id - start;  // neither background nor ignored pixels
  }
  return areas;
}

// Removes instances of which the tile shows less than `least` pixels and not all of them.
void drop_fragments(const at::Tensor& labels, const Areas& whole, std::int64_t least) {
  const auto here = areas_of(labels);
  auto is_fragment = [&](std::int32_t id) {
    const auto area = here.at(id);
    return area < least && area < whole.at(id);
  };
  if (std::none_of(here.begin(), here.end(), [&](const auto& entry) { return is_fragment(entry.first); })) return;
  auto* id = labels.data_ptr<std::int32_t>();
  for (auto* end = id + labels.numel(); id != end; ++id) {
    if (*id > 0 && is_fragment(*id)) *id = 0;
  }
}

// Copies the part of a plane [H,width] that `tile.valid` covers into a plane [T,T].
template <class T>
void copy_part(const T* from, std::int64_t width, T* to, const Tile& tile, std::int64_t tile_size) {
  for (std::int64_t row = 0; row < tile.valid.height; ++row) {
    const auto* start = from + (tile.y + tile.valid.y + row) * width + tile.x + tile.valid.x;
    std::memcpy(to + (tile.valid.y + row) * tile_size + tile.valid.x, start, tile.valid.width * sizeof(T));
  }
}

}  // namespace

std::vector<std::int64_t> tile_starts(std::int64_t length, const TileOptions& options) {
  const auto size = options.tile_size;
  if (size < 1 || !(options.overlap >= 0 && options.overlap < 1)) {
    throw Error("ERR_INVALID_ARGUMENT", "tile_size must be at least 1 and overlap in 0 <= overlap < 1");
  }
  const auto stride = std::max<std::int64_t>(1, std::llround(static_cast<double>(size) * (1 - options.overlap)));
  const auto missing = length <= size ? size - length : (stride - (length - size) % stride) % stride;
  const auto before = missing / 2;
  std::vector<std::int64_t> starts;
  for (std::int64_t start = 0; start + size <= length + missing; start += stride) starts.push_back(start - before);
  return starts;
}

std::vector<Tile> cut_tiles(const at::Tensor& image, const at::Tensor& labels, const TileOptions& options) {
  const auto height = image.size(1), width = image.size(2), size = options.tile_size;
  const auto pixels = image.contiguous(), ids = labels.contiguous();
  const auto whole = options.min_fragment_area > 0 ? areas_of(ids) : Areas{};
  const auto rows = tile_starts(height, options), columns = tile_starts(width, options);
  std::vector<Tile> tiles;
  for (auto y : rows) {
    for (auto x : columns) {
      Tile tile{at::zeros({3, size, size}, at::kByte), at::zeros({size, size}, at::kInt), y, x, {}};
      tile.valid.y = std::max<std::int64_t>(0, -y);
      tile.valid.x = std::max<std::int64_t>(0, -x);
      tile.valid.height = std::min(size, height - y) - tile.valid.y;
      tile.valid.width = std::min(size, width - x) - tile.valid.x;
      for (std::int64_t channel = 0; channel < 3; ++channel) {
        copy_part(pixels.data_ptr<std::uint8_t>() + channel * height * width, width,
                  tile.image.data_ptr<std::uint8_t>() + channel * size * size, tile, size);
      }
      copy_part(ids.data_ptr<std::int32_t>(), width, tile.labels.data_ptr<std::int32_t>(), tile, size);
      if (options.min_fragment_area > 0) drop_fragments(tile.labels, whole, options.min_fragment_area);
      tiles.push_back(std::move(tile));
    }
  }
  return tiles;
}

}  // namespace cellsam::data
