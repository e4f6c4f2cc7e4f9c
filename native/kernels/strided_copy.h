// Copies a plane of pixels whose rows and columns are read backwards or exchanged: what flips and quarter turns need. Runs on
// the calling thread alone, which torch's flip and rot90 do not. 16-byte vectors, for every CPU alike. Called by
// augment/flip_rotate.cc and augment/elastic.cc.
#pragma once

#include <cstdint>

namespace cellsam::kernels {

// Pixel (y, x) of the result is the source pixel at start + y * row_step + x * column_step. One of the steps is 1 or -1, the
// other one or minus one row of the source.
struct StridedPlane {
  std::int64_t height, width;  // of the result
  std::int64_t start, row_step, column_step;
};

// Writes the plane `to` [plane.height,plane.width] from the plane `from`. They must not overlap.
void strided_copy(const std::uint8_t* from, std::uint8_t* to, const StridedPlane& plane);
void strided_copy(const std::int32_t* from, std::int32_t* to, const StridedPlane& plane);
void strided_copy(const float* from, float* to, const StridedPlane& plane);

}  // namespace cellsam::kernels
