// Masks of cells as runs of pixels, so that thousands of cells of a large image fit in memory.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace cellsam::infer {

// A rectangle of pixels. It may reach out of the image.
struct Window {
  std::int64_t x = 0;
  std::int64_t y = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;

  std::int64_t right() const { return x + width; }
  std::int64_t bottom() const { return y + height; }
  std::int64_t area() const { return width * height; }
};

// The intersection; width and height are 0 where it is empty.
Window intersect(const Window& a, const Window& b);

// Pixels `x` to `end` (excluded) of row `y`.
struct Run {
  std::int32_t y = 0;
  std::int32_t x = 0;
  std::int32_t end = 0;
};

// The pixels of one cell. It takes a few bytes for each row, also where the mask of a bad model covers a whole tile.
struct Mask {
  Window window;          // the tight bounding box; empty for a mask without pixels
  std::vector<Run> runs;  // ordered by row and column; no two touch

  bool empty() const { return runs.empty(); }
};

inline std::int32_t to_int32(std::int64_t value) { return static_cast<std::int32_t>(value); }

// The index from `x` on of the next byte `bit` (0 or 1) of a row; its width where there is none.
inline std::int64_t next_bit(const std::uint8_t* row, std::int64_t x, std::int64_t width, int bit) {
  if (x == width) return width;
  const auto* found = static_cast<const std::uint8_t*>(std::memchr(row + x, bit, static_cast<std::size_t>(width - x)));
  return found == nullptr ? width : found - row;
}

// Appends the runs of ones in `row` [width] of zeros and ones, as runs of row y, moved by dx.
void append_runs(std::vector<Run>& runs, const std::uint8_t* row, std::int64_t width, std::int64_t dx, std::int64_t y);

// The mask of `runs`, which must be ordered and not touch.
Mask from_runs(std::vector<Run> runs);

Mask moved(Mask mask, std::int64_t dx, std::int64_t dy);
std::int64_t area(const Mask& mask);
std::int64_t area(const Mask& mask, const Window& within);
std::int64_t intersection_area(const Mask& a, const Mask& b);
Mask unite(const Mask& a, const Mask& b);
Mask clip(const Mask& mask, const Window& within);

// A detected cell, in pixels of its image.
struct Instance {
  Mask mask;
  double score = 0;
  double iou = 0;                  // that the mask decoder expects of its mask
  std::array<double, 4> box = {};  // the prompt, (x1, y1, x2, y2)
  std::int64_t source = -1;        // row of the prompt
};

}  // namespace cellsam::infer
