#include "infer/mask.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>

namespace cellsam::infer {
namespace {

std::int32_t narrow(std::int64_t value) { return static_cast<std::int32_t>(value); }

// The runs of set bytes of a row, moved by (dx, dy).
void append_runs(std::vector<Run>& runs, const std::uint8_t* row, std::int64_t width, std::int64_t dx, std::int64_t y) {
  for (std::int64_t x = 0; x < width;) {
    if (row[x] == 0) {
      ++x;
      continue;
    }
    const std::int64_t begin = x;
    while (x < width && row[x] != 0) ++x;
    runs.push_back({narrow(y), narrow(begin + dx), narrow(x + dx)});
  }
}

}  // namespace

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
  const auto plain = full.to(at::kCPU).contiguous();
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

void fill_holes(Bits& bits) {
  const std::int64_t width = bits.window.width, height = bits.window.height;
  if (bits.bits.empty()) return;
  constexpr std::uint8_t kOutside = 2;
  std::vector<std::int64_t> open;
  const auto visit = [&](std::int64_t x, std::int64_t y) {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    auto& bit = bits.bits[static_cast<std::size_t>(y * width + x)];
    if (bit != 0) return;
    bit = kOutside;
    open.push_back(y * width + x);
  };
  for (std::int64_t x = 0; x < width; ++x) {
    visit(x, 0);
    visit(x, height - 1);
  }
  for (std::int64_t y = 0; y < height; ++y) {
    visit(0, y);
    visit(width - 1, y);
  }
  while (!open.empty()) {
    const std::int64_t x = open.back() % width, y = open.back() / width;
    open.pop_back();
    visit(x - 1, y);
    visit(x + 1, y);
    visit(x, y - 1);
    visit(x, y + 1);
  }
  for (auto& bit : bits.bits) bit = bit != kOutside;
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
