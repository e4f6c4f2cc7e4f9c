// How the pixels of a plane are read when it is flipped and turned, and the loops that read them so.
#pragma once

#include <cstdint>

namespace cellsam::augment {

// Where the pixel at (y, x) of a turned plane comes from: source offset = start + y * row_step + x * column_step. One of the
// steps is 1 or -1, the other a row of the source forwards or backwards.
struct Walk {
  std::int64_t height, width;  // of the result
  std::int64_t start, row_step, column_step;
};

// Writes the plane `to` [walk.height,walk.width] from the plane `from`; they do not overlap.
void gather(const std::uint8_t* from, std::uint8_t* to, const Walk& walk);
void gather(const std::int32_t* from, std::int32_t* to, const Walk& walk);

}  // namespace cellsam::augment
