#include "infer/bit_mask.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cellsam::infer {

BitMask to_bits(const Mask& mask) {
  BitMask bit_mask{mask.window, std::vector<std::uint8_t>(static_cast<std::size_t>(mask.window.area()), 0)};
  for (const auto& run : mask.runs) {
    auto* row = bit_mask.bits.data() + (run.y - mask.window.y) * mask.window.width - mask.window.x;
    std::fill(row + run.x, row + run.end, std::uint8_t{1});
  }
  return bit_mask;
}

Mask to_mask(const BitMask& mask) {
  std::vector<Run> runs;
  for (std::int64_t y = 0; y < mask.window.height; ++y) {
    append_runs(runs, mask.bits.data() + y * mask.window.width, mask.window.width, mask.window.x, mask.window.y + y);
  }
  return from_runs(std::move(runs));
}

std::int64_t area(const BitMask& mask) {
  return std::count_if(mask.bits.begin(), mask.bits.end(), [](auto bit) { return bit != 0; });
}

// Goes through the rows with a union-find of the pieces of background so
// far. Background at the window's edge is in the set of the outside.
void fill_holes(BitMask& mask) {
  const std::int64_t width = mask.window.width, height = mask.window.height;
  std::vector<Run> gaps;
  std::vector<std::size_t> sets = {0};  // sets[i + 1] is the parent of gap i; 0 is the outside
  const auto root = [&sets](std::size_t i) {
    while (sets[i] != i) i = sets[i] = sets[sets[i]];
    return i;
  };
  const auto unite_sets = [&](std::size_t a, std::size_t b) {
    a = root(a), b = root(b);
    sets[std::max(a, b)] = std::min(a, b);
  };
  std::size_t above = 0;  // the first gap of the previous row that can touch
  for (std::int64_t y = 0; y < height; ++y) {
    const std::size_t first = gaps.size();
    const auto* row = mask.bits.data() + y * width;
    for (auto x = next_bit(row, 0, width, 0); x < width;) {
      const auto end = next_bit(row, x, width, 1);
      gaps.push_back({to_int32(y), to_int32(x), to_int32(end)});
      sets.push_back(gaps.size());
      if (y == 0 || y == height - 1 || x == 0 || end == width) unite_sets(gaps.size(), 0);
      while (above < first && gaps[above].end <= x) ++above;
      for (auto i = above; i < first && gaps[i].x < end; ++i) unite_sets(gaps.size(), i + 1);
      x = next_bit(row, end, width, 0);
    }
    above = first;
  }
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    if (root(i + 1) == 0) continue;
    auto* row = mask.bits.data() + gaps[i].y * width;
    std::fill(row + gaps[i].x, row + gaps[i].end, std::uint8_t{1});
  }
}

void keep_largest_piece(BitMask& mask) {
  const std::int64_t width = mask.window.width, height = mask.window.height;
  constexpr std::uint8_t kSeen = 2;
  std::vector<std::int64_t> piece, largest;
  for (std::int64_t start = 0; start < width * height; ++start) {
    piece.clear();
    const auto visit = [&](std::int64_t x, std::int64_t y) {
      if (x < 0 || y < 0 || x >= width || y >= height) return;
      auto& bit = mask.bits[static_cast<std::size_t>(y * width + x)];
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
  std::fill(mask.bits.begin(), mask.bits.end(), std::uint8_t{0});
  for (const auto pixel : largest) mask.bits[static_cast<std::size_t>(pixel)] = 1;
}

}  // namespace cellsam::infer
