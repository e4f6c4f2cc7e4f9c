// Masks as arrays of pixels, for operations that look at neighbours.
#pragma once

#include <cstdint>
#include <vector>

#include "infer/mask.h"

namespace cellsam::infer {

struct BitMask {
  Window window;
  std::vector<std::uint8_t> bits;  // 0 or 1, row by row, window.area() of them

  bool at(std::int64_t x, std::int64_t y) const {
    return bits[static_cast<std::size_t>((y - window.y) * window.width + (x - window.x))] != 0;
  }
};

BitMask to_bits(const Mask& mask);
Mask to_mask(const BitMask& mask);
std::int64_t area(const BitMask& mask);

// Sets every pixel that is not connected to the outside of the window by a 4-connected path of unset pixels.
void fill_holes(BitMask& mask);

// Clears all 4-connected pieces but the largest; of equally large ones it keeps the first in reading order. The window stays.
void keep_largest_piece(BitMask& mask);

}  // namespace cellsam::infer
