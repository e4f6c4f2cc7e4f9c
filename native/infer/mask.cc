#include "infer/mask.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cellsam::infer {

void append_runs(std::vector<Run>& runs, const std::uint8_t* row, std::int64_t width, std::int64_t dx, std::int64_t y) {
  for (auto x = next_bit(row, 0, width, 1); x < width;) {
    const auto end = next_bit(row, x, width, 0);
    runs.push_back({to_int32(y), to_int32(x + dx), to_int32(end + dx)});
    x = next_bit(row, end, width, 1);
  }
}

Window intersect(const Window& a, const Window& b) {
  const std::int64_t x = std::max(a.x, b.x), y = std::max(a.y, b.y);
  const std::int64_t width = std::min(a.right(), b.right()) - x, height = std::min(a.bottom(), b.bottom()) - y;
  if (width <= 0 || height <= 0) return {x, y, 0, 0};
  return {x, y, width, height};
}

Mask from_runs(std::vector<Run> runs) {
  if (runs.empty()) return {};
  std::int32_t left = runs.front().x, right = runs.front().end;
  for (const auto& run : runs) {
    left = std::min(left, run.x);
    right = std::max(right, run.end);
  }
  const std::int64_t top = runs.front().y, bottom = runs.back().y + 1;
  return {{left, top, right - left, bottom - top}, std::move(runs)};
}

Mask moved(Mask mask, std::int64_t dx, std::int64_t dy) {
  mask.window.x += dx;
  mask.window.y += dy;
  for (auto& run : mask.runs) run = {to_int32(run.y + dy), to_int32(run.x + dx), to_int32(run.end + dx)};
  return mask;
}

std::int64_t area(const Mask& mask) {
  std::int64_t count = 0;
  for (const auto& run : mask.runs) count += run.end - run.x;
  return count;
}

std::int64_t area(const Mask& mask, const Window& within) {
  std::int64_t count = 0;
  for (const auto& run : mask.runs) {
    if (run.y < within.y || run.y >= within.bottom()) continue;
    count +=
        std::max<std::int64_t>(0, std::min<std::int64_t>(run.end, within.right()) - std::max<std::int64_t>(run.x, within.x));
  }
  return count;
}

std::int64_t intersection_area(const Mask& a, const Mask& b) {
  const auto part = intersect(a.window, b.window);
  if (part.area() == 0) return 0;
  const auto first = [&part](const Mask& mask) {
    return std::lower_bound(mask.runs.begin(), mask.runs.end(), part.y,
                            [](const Run& run, std::int64_t y) { return run.y < y; });
  };
  std::int64_t count = 0;
  auto i = first(a), j = first(b);
  while (i != a.runs.end() && j != b.runs.end() && i->y < part.bottom() && j->y < part.bottom()) {
    if (i->y == j->y) count += std::max(0, std::min(i->end, j->end) - std::max(i->x, j->x));
    // The run that ends first meets no other.
    if (std::pair(i->y, i->end) < std::pair(j->y, j->end)) {
      ++i;
    } else {
      ++j;
    }
  }
  return count;
}

Mask unite(const Mask& a, const Mask& b) {
  std::vector<Run> all(a.runs.size() + b.runs.size());
  std::merge(a.runs.begin(), a.runs.end(), b.runs.begin(), b.runs.end(), all.begin(),
             [](const Run& x, const Run& y) { return std::pair(x.y, x.x) < std::pair(y.y, y.x); });
  std::vector<Run> runs;
  for (const auto& run : all) {
    if (!runs.empty() && runs.back().y == run.y && runs.back().end >= run.x) {
      runs.back().end = std::max(runs.back().end, run.end);
    } else {
      runs.push_back(run);
    }
  }
  return from_runs(std::move(runs));
}

Mask clip(const Mask& mask, const Window& within) {
  std::vector<Run> runs;
  for (auto run : mask.runs) {
    if (run.y < within.y || run.y >= within.bottom()) continue;
    run.x = to_int32(std::max<std::int64_t>(run.x, within.x));
    run.end = to_int32(std::min<std::int64_t>(run.end, within.right()));
    if (run.end > run.x) runs.push_back(run);
  }
  return from_runs(std::move(runs));
}

}  // namespace cellsam::infer
