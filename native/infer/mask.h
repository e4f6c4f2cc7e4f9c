// A cell's mask kept as the bits inside its own bounding box, so that thousands of cells of a large image fit in memory.
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

struct Mask {
  Window window;                   // the tight bounding box; empty for a mask without pixels
  std::vector<std::uint8_t> bits;  // 0 or 1, row by row, window.area() of them

  bool at(std::int64_t x, std::int64_t y) const {
    return bits[static_cast<std::size_t>((y - window.y) * window.width + (x - window.x))] != 0;
  }
};

// The tight mask of `full` (u8 or bool [H,W], CPU, non-zero = set), moved by (dx, dy).
Mask crop_mask(const at::Tensor& full, std::int64_t dx = 0, std::int64_t dy = 0);

std::int64_t area(const Mask& mask);
std::int64_t area(const Mask& mask, const Window& within);
std::int64_t shared_area(const Mask& a, const Mask& b);
Mask unite(const Mask& a, const Mask& b);
Mask clip(const Mask& mask, const Window& within);

// Sets every pixel that a 4-connected walk over unset pixels cannot reach from outside.
void fill_holes(Mask& mask);

// Clears all but the largest of the 4-connected pieces; of equally large ones the first in reading order stays. The window
// stays as it is.
void keep_largest_piece(Mask& mask);

// One found cell, in pixels of its image.
struct Instance {
  Mask mask;
  double score = 0;
  double iou = 0;                  // predicted by the mask decoder
  std::array<double, 4> box = {};  // the prompt, (x1, y1, x2, y2)
  std::int64_t source = -1;        // row of the prompt
};

}  // namespace cellsam::infer
