// A cell's mask kept as runs of pixels, so that thousands of cells of a large image fit in memory.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace cellsam::infer {

// A rectangle of pixels; may begin outside of the image.
struct Window {
  std::int64_t x = 0;
  std::int64_t y = 0;
  std::int64_t width = 0;
  std::int64_t height = 0;

  std::int64_t right() const { return x + width; }
  std::int64_t bottom() const { return y + height; }
  std::int64_t area() const { return width * height; }
};

// The common part; width and height are 0 where there is none.
Window intersect(const Window& a, const Window& b);

// Pixels `x` to `end` (excluded) of row `y`.
struct Run {
  std::int32_t y = 0;
  std::int32_t x = 0;
  std::int32_t end = 0;
};

// What waits for stitching and overlaps: a few bytes per row of a cell, also where a bad model's mask covers a whole tile.
struct Mask {
  Window window;          // the tight bounding box; empty for a mask without pixels
  std::vector<Run> runs;  // by row and column; no two of them touch

  bool empty() const { return runs.empty(); }
};

// The same pixels laid out, for work on neighbours.
struct Bits {
  Window window;
  std::vector<std::uint8_t> bits;  // 0 or 1, row by row, window.area() of them

  bool at(std::int64_t x, std::int64_t y) const {
    return bits[static_cast<std::size_t>((y - window.y) * window.width + (x - window.x))] != 0;
  }
};

Bits to_bits(const Mask& mask);
Mask to_mask(const Bits& bits);

// The runs of ones in a row of zeros and ones, as row `y` and moved by `dx`.
void append_runs(std::vector<Run>& runs, const std::uint8_t* row, std::int64_t width, std::int64_t dx, std::int64_t y);

// The mask of `runs`, which are in order and do not touch.
Mask from_runs(std::vector<Run> runs);

// The tight mask of `full` (u8 or bool [H,W], CPU, non-zero = set), moved by (dx, dy).
Mask crop_mask(const at::Tensor& full, std::int64_t dx = 0, std::int64_t dy = 0);

Mask moved(Mask mask, std::int64_t dx, std::int64_t dy);
std::int64_t area(const Mask& mask);
std::int64_t area(const Mask& mask, const Window& within);
std::int64_t area(const Bits& bits);
std::int64_t shared_area(const Mask& a, const Mask& b);
Mask unite(const Mask& a, const Mask& b);
Mask clip(const Mask& mask, const Window& within);

// Sets every pixel that a 4-connected walk over unset pixels cannot reach from outside.
void fill_holes(Bits& bits);

// Clears all but the largest of the 4-connected pieces; of equally large ones the first in reading order stays. The window
// stays as it is.
void keep_largest_piece(Bits& bits);

// One found cell, in pixels of its image.
struct Instance {
  Mask mask;
  double score = 0;
  double iou = 0;                  // predicted by the mask decoder
  std::array<double, 4> box = {};  // the prompt, (x1, y1, x2, y2)
  std::int64_t source = -1;        // row of the prompt
};

}  // namespace cellsam::infer
