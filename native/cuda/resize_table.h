// One axis of SAM's mask upsampling as a table: low-resolution logits to the model's canvas to the tile, both bilinear,
// composed into one set of weights for each pixel of the tile; docs/math.md section 2.1. Built on the host in float64; the
// kernels read views of it. What base/axis_taps.h has for the sweep on the CPU, here for blocks of threads: 32-bit numbers, and
// the pixels that each tile of low pixels sums and reads (`start`, `begin`). Called by mask_losses_operator.cc.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace cellsam::cuda {

struct ResizeView {
  int low = 0, full = 0, taps = 0;
  const int* first = nullptr;     // [full] the first low pixel that a pixel reads; never falls along the axis
  const float* weight = nullptr;  // [full,taps] of the low pixels first, first + 1, ...; 0 past the last one
  const int* begin = nullptr;     // [low] the first pixel that reads a low pixel; the last one is before start[low_pixel + 1]
  const int* start = nullptr;     // [low+1] the number of pixels whose first low pixel is before this one
};

struct ResizeTable {
  int low = 0, full = 0, taps = 0;
  std::vector<int> first, begin, start;
  std::vector<float> weight;
};

namespace resize_detail {

struct Reading {
  int below, above;
  double part;  // of `above`
};

// torch's bilinear rule without aligned corners.
inline Reading read_between(int pixel, int from, int to) {
  const double place = std::max(0.0, (pixel + 0.5) * from / to - 0.5);
  const int below = std::min(static_cast<int>(place), from - 1);
  return {below, std::min(below + 1, from - 1), from == to ? 0.0 : place - below};
}

}  // namespace resize_detail

// `low` low pixels to `canvas` to `full` pixels, all at least 1.
inline ResizeTable make_resize_table(int low, int canvas, int full) {
  using resize_detail::read_between;
  ResizeTable axis{low, full, 1, std::vector<int>(full), std::vector<int>(low), std::vector<int>(low + 1), {}};
  std::vector<std::vector<double>> rows(full);
  std::vector<int> last(full);
  for (int pixel = 0; pixel < full; ++pixel) {
    std::vector<double> dense(low);
    const auto outer = read_between(pixel, canvas, full);
    for (const auto& [low_pixel, share] : {std::pair(outer.below, 1 - outer.part), std::pair(outer.above, outer.part)}) {
      const auto inner = read_between(low_pixel, low, canvas);
      dense[inner.below] += share * (1 - inner.part);
      dense[inner.above] += share * inner.part;
    }
    const auto used = [](double weight) { return weight != 0; };
    axis.first[pixel] = static_cast<int>(std::find_if(dense.begin(), dense.end(), used) - dense.begin());
    last[pixel] = low - 1 - static_cast<int>(std::find_if(dense.rbegin(), dense.rend(), used) - dense.rbegin());
    axis.taps = std::max(axis.taps, last[pixel] - axis.first[pixel] + 1);
    rows[pixel].assign(dense.begin() + axis.first[pixel], dense.begin() + last[pixel] + 1);
  }
  axis.weight.assign(static_cast<std::size_t>(full) * axis.taps, 0.F);
  for (int pixel = 0; pixel < full; ++pixel)
    std::copy(rows[pixel].begin(), rows[pixel].end(), axis.weight.begin() + static_cast<std::ptrdiff_t>(pixel) * axis.taps);
  for (int low_pixel = 0; low_pixel <= low; ++low_pixel)
    axis.start[low_pixel] =
        static_cast<int>(std::lower_bound(axis.first.begin(), axis.first.end(), low_pixel) - axis.first.begin());
  for (int low_pixel = 0; low_pixel < low; ++low_pixel)
    axis.begin[low_pixel] = static_cast<int>(std::lower_bound(last.begin(), last.end(), low_pixel) - last.begin());
  return axis;
}

inline ResizeView view_of(const ResizeTable& axis) {
  return {axis.low, axis.full, axis.taps, axis.first.data(), axis.weight.data(), axis.begin.data(), axis.start.data()};
}

// The largest number of pixels that read a low pixel out of `side` neighbouring ones which start at a multiple of `side`.
inline int widest_reach(const ResizeTable& axis, int side) {
  int widest = 0;
  for (int low_pixel = 0; low_pixel < axis.low; low_pixel += side)
    widest = std::max(widest, axis.start[std::min(low_pixel + side, axis.low)] - axis.begin[low_pixel]);
  return widest;
}

}  // namespace cellsam::cuda
