#include "infer/mask.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace cellsam::infer {
namespace {

// The bits of a mask inside of a window that lies within its own.
Mask part_of(const Mask& mask, const Window& part) {
  Mask copy{part, {}};
  copy.bits.reserve(static_cast<std::size_t>(part.area()));
  for (std::int64_t y = part.y; y < part.bottom(); ++y) {
    for (std::int64_t x = part.x; x < part.right(); ++x) copy.bits.push_back(mask.at(x, y));
  }
  return copy;
}

}  // namespace

Window intersect(const Window& a, const Window& b) {
  const std::int64_t x = std::max(a.x, b.x), y = std::max(a.y, b.y);
  const std::int64_t width = std::min(a.right(), b.right()) - x, height = std::min(a.bottom(), b.bottom()) - y;
  if (width <= 0 || height <= 0) return {x, y, 0, 0};
  return {x, y, width, height};
}

Mask crop_mask(const at::Tensor& full, std::int64_t dx, std::int64_t dy) {
  const auto plain = full.to(at::kCPU).contiguous();
  const auto* bits = static_cast<const std::uint8_t*>(plain.const_data_ptr());
  const std::int64_t height = plain.size(0), width = plain.size(1);
  std::int64_t left = width, top = height, right = 0, bottom = 0;
  for (std::int64_t y = 0; y < height; ++y) {
    const auto* row = bits + y * width;
    const auto* first = std::find_if(row, row + width, [](std::uint8_t bit) { return bit != 0; });
    if (first == row + width) continue;
    std::int64_t last = width - 1;
    while (row[last] == 0) --last;
    left = std::min<std::int64_t>(left, first - row);
    right = std::max(right, last + 1);
    top = std::min(top, y);
    bottom = y + 1;
  }
  if (right <= left) return {};
  Mask mask{{left + dx, top + dy, right - left, bottom - top}, {}};
  mask.bits.reserve(static_cast<std::size_t>(mask.window.area()));
  for (std::int64_t y = top; y < bottom; ++y) {
    for (std::int64_t x = left; x < right; ++x) mask.bits.push_back(bits[y * width + x] != 0);
  }
  return mask;
}

std::int64_t area(const Mask& mask) { return area(mask, mask.window); }

std::int64_t area(const Mask& mask, const Window& within) {
  const auto part = intersect(mask.window, within);
  std::int64_t count = 0;
  for (std::int64_t y = part.y; y < part.bottom(); ++y) {
    for (std::int64_t x = part.x; x < part.right(); ++x) count += mask.at(x, y);
  }
  return count;
}

std::int64_t shared_area(const Mask& a, const Mask& b) {
  const auto part = intersect(a.window, b.window);
  std::int64_t count = 0;
  for (std::int64_t y = part.y; y < part.bottom(); ++y) {
    for (std::int64_t x = part.x; x < part.right(); ++x) count += a.at(x, y) && b.at(x, y);
  }
  return count;
}

Mask unite(const Mask& a, const Mask& b) {
  if (a.bits.empty()) return b;
  if (b.bits.empty()) return a;
  const std::int64_t x = std::min(a.window.x, b.window.x), y = std::min(a.window.y, b.window.y);
  Mask both{{x, y, std::max(a.window.right(), b.window.right()) - x, std::max(a.window.bottom(), b.window.bottom()) - y}, {}};
  both.bits.resize(static_cast<std::size_t>(both.window.area()));
  for (const auto* part : {&a, &b}) {
    const auto& w = part->window;
    for (std::int64_t row = w.y; row < w.bottom(); ++row) {
      auto* to = &both.bits[static_cast<std::size_t>((row - y) * both.window.width + (w.x - x))];
      for (std::int64_t column = w.x; column < w.right(); ++column, ++to) *to |= part->at(column, row);
    }
  }
  return both;
}

Mask clip(const Mask& mask, const Window& within) {
  const auto part = intersect(mask.window, within);
  std::int64_t left = part.right(), top = part.bottom(), right = part.x, bottom = part.y;
  for (std::int64_t y = part.y; y < part.bottom(); ++y) {
    for (std::int64_t x = part.x; x < part.right(); ++x) {
      if (!mask.at(x, y)) continue;
      left = std::min(left, x);
      right = std::max(right, x + 1);
      top = std::min(top, y);
      bottom = y + 1;
    }
  }
  return right > left ? part_of(mask, {left, top, right - left, bottom - top}) : Mask{};
}

void fill_holes(Mask& mask) {
  const std::int64_t width = mask.window.width, height = mask.window.height;
  if (mask.bits.empty()) return;
  constexpr std::uint8_t kOutside = 2;
  std::vector<std::int64_t> open;
  const auto visit = [&](std::int64_t x, std::int64_t y) {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    auto& bit = mask.bits[static_cast<std::size_t>(y * width + x)];
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
  for (auto& bit : mask.bits) bit = bit != kOutside;
}

void keep_largest_piece(Mask& mask) {
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
