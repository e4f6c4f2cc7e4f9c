#include "infer/prompt.h"

#include <algorithm>
#include <limits>

namespace cellsam::infer {

Prompt in_tile(Prompt prompt, const Window& tile) {
  const auto x = static_cast<double>(tile.x), y = static_cast<double>(tile.y);
  for (auto& point : prompt.points) point = {point.x - x, point.y - y, point.on_cell};
  if (prompt.box) *prompt.box = {(*prompt.box)[0] - x, (*prompt.box)[1] - y, (*prompt.box)[2] - x, (*prompt.box)[3] - y};
  return prompt;
}

std::array<double, 4> extent_of(const Prompt& prompt) {
  if (prompt.box) return *prompt.box;
  const bool any_on_cell = std::any_of(prompt.points.begin(), prompt.points.end(), [](const Point& p) { return p.on_cell; });
  constexpr double kEnd = std::numeric_limits<double>::infinity();
  std::array<double, 4> extent{kEnd, kEnd, -kEnd, -kEnd};
  for (const auto& point : prompt.points) {
    if (any_on_cell && !point.on_cell) continue;
    extent = {std::min(extent[0], point.x), std::min(extent[1], point.y), std::max(extent[2], point.x),
              std::max(extent[3], point.y)};
  }
  return extent;
}

}  // namespace cellsam::infer
