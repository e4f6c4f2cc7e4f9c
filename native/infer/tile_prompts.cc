#include "infer/tile_prompts.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace cellsam::infer {

TilePrompts::TilePrompts(const std::vector<at::Tensor>& boxes) : boxes_(at::cat(boxes).contiguous()) {
  std::int64_t end = 0;
  for (const auto& of_tile : boxes) ends_.push_back(end += of_tile.size(0));
}

TilePrompts::Place TilePrompts::place_of(std::int64_t prompt) const {
  const auto end = std::upper_bound(ends_.begin(), ends_.end(), prompt);
  return {static_cast<std::size_t>(end - ends_.begin()), end == ends_.begin() ? prompt : prompt - *(end - 1)};
}

std::vector<TilePrompts::Part> TilePrompts::parts(std::int64_t begin, std::int64_t count) const {
  std::vector<Part> parts;
  for (const auto end = begin + count; begin < end; begin += parts.back().count) {
    const auto tile = place_of(begin).tile;
    parts.push_back({tile, std::min(end, ends_[tile]) - begin});
  }
  return parts;
}

}  // namespace cellsam::infer
