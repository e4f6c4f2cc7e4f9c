#include "infer/mask.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <ATen/ATen.h>

namespace cellsam::infer {
namespace {

std::int32_t narrow(std::int64_t value) { return static_cast<std::int32_t>(value); }

// The place from `x` on of the next byte `bit` (0 or 1) of a row, or its width.
std::int64_t next(const std::uint8_t* row, std::int64_t x, std::int64_t width, int bit) {
  if (x == width) return width;
  const auto* found = static_cast<const std::uint8_t*>(std::memchr(row + x, bit, static_cast<std::size_t>(width - x)));
  return found == nullptr ? width : found - row;
}

}  // namespace

void append_runs(std::vector<Run>& runs, const std::uint8_t* row, std::int64_t width, std::int64_t dx, std::int64_t y) {
  for (auto x = next(row, 0, width, 1); x < width;) {
    const auto end = next(row, x, width, 0);
    runs.push_back({narrow(y), narrow(x + dx), narrow(end + dx)});
    x = next(row, end, width, 1);
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

Bits to_bits(const Mask& mask) {
  Bits bits{mask.window, std::vector<std::uint8_t>(static_cast<std::size_t>(mask.window.area()), 0)};
  for (const auto& run : mask.runs) {
    auto* row = bits.bits.data() + (run.y - mask.window.y) * mask.window.width - mask.window.x;
    std::fill(row + run.x, row + run.end, std::uint8_t{1});
  }
  return bits;
}

Mask to_mask(const Bits& bits) {
  std::vector<Run> runs;
  for (std::int64_t y = 0; y < bits.window.height; ++y) {
    append_runs(runs, bits.bits.data() + y * bits.window.width, bits.window.width, bits.window.x, bits.window.y + y);
  }
  return from_runs(std::move(runs));
}

Mask crop_mask(const at::Tensor& full, std::int64_t dx, std::int64_t dy) {
  const auto plain = full.to(at::kCPU).to(at::kBool).contiguous();
  const auto* bits = static_cast<const std::uint8_t*>(plain.const_data_ptr());
  const std::int64_t height = plain.size(0), width = plain.size(1);
  std::vector<Run> runs;
  for (std::int64_t y = 0; y < height; ++y) append_runs(runs, bits + y * width, width, dx, y + dy);
  runs.shrink_to_fit();
  return from_runs(std::move(runs));
}

Mask moved(Mask mask, std::int64_t dx, std::int64_t dy) {
  mask.window.x += dx;
  mask.window.y += dy;
  for (auto& run : mask.runs) run = {narrow(run.y + dy), narrow(run.x + dx), narrow(run.end + dx)};
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

std::int64_t area(const Bits& bits) {
  return std::count_if(bits.bits.begin(), bits.bits.end(), [](auto bit) { return bit != 0; });
}

std::int64_t shared_area(const Mask& a, const Mask& b) {
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
    // Whichever ends first can meet nothing more.
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
    run.x = narrow(std::max<std::int64_t>(run.x, within.x));
    run.end = narrow(std::min<std::int64_t>(run.end, within.right()));
    if (run.end > run.x) runs.push_back(run);
  }
  return from_runs(std::move(runs));
}

// Row by row, with one set for each piece of background so far; what lies on the window's edge is in the set of the outside.
void fill_holes(Bits& bits) {
  const std::int64_t width = bits.window.width, height = bits.window.height;
  std::vector<Run> gaps;
  std::vector<std::size_t> sets = {0};  // gap i belongs to the set of sets[i + 1], and so on down; 0 is the outside
  const auto root = [&sets](std::size_t i) {
    while (sets[i] != i) i = sets[i] = sets[sets[i]];
    return i;
  };
  const auto join = [&](std::size_t a, std::size_t b) {
    a = root(a), b = root(b);
    sets[std::max(a, b)] = std::min(a, b);
  };
  std::size_t above = 0;  // the first gap of the row before that may touch
  for (std::int64_t y = 0; y < height; ++y) {
    const std::size_t first = gaps.size();
    const auto* row = bits.bits.data() + y * width;
    for (auto x = next(row, 0, width, 0); x < width;) {
      const auto end = next(row, x, width, 1);
      gaps.push_back({narrow(y), narrow(x), narrow(end)});
      sets.push_back(gaps.size());
      if (y == 0 || y == height - 1 || x == 0 || end == width) join(gaps.size(), 0);
      while (above < first && gaps[above].end <= x) ++above;
      for (auto i = above; i < first && gaps[i].x < end; ++i) join(gaps.size(), i + 1);
      x = next(row, end, width, 0);
    }
    above = first;
  }
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    if (root(i + 1) == 0) continue;
    auto* row = bits.bits.data() + gaps[i].y * width;
    std::fill(row + gaps[i].x, row + gaps[i].end, std::uint8_t{1});
  }
}

void keep_largest_piece(Bits& bits) {
  const std::int64_t width = bits.window.width, height = bits.window.height;
  constexpr std::uint8_t kSeen = 2;
  std::vector<std::int64_t> piece, largest;
  for (std::int64_t start = 0; start < width * height; ++start) {
    piece.clear();
    const auto visit = [&](std::int64_t x, std::int64_t y) {
      if (x < 0 || y < 0 || x >= width || y >= height) return;
      auto& bit = bits.bits[static_cast<std::size_t>(y * width + x)];
      if (bit != 1) return;
      bit = kSeen;
      piece.push_back(y * width + x);
    };
    visit(start % width, start / width);
    for (std::size_t i = 0; i < piece.size(); ++i) {
      const std::int64_t x = piece[i] % width, y = piece[i] / width;
      visit(x - 1, y);
      visit(x + 1, y);
      visit(x, y - 1);
      visit(x, y + 1);
    }
    if (piece.size() > largest.size()) largest.swap(piece);
  }
  std::fill(bits.bits.begin(), bits.bits.end(), std::uint8_t{0});
  for (const auto pixel : largest) bits.bits[static_cast<std::size_t>(pixel)] = 1;
}

}  // namespace cellsam::infer
