// Resampling under a geometric transformation: a function says which point of the source each pixel of the result shows. The
// image is interpolated; labels are not, so that they stay labels.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "augment/augmentations.h"

namespace cellsam::augment {

struct Point {
  double y, x;  // in pixels of the source; whole numbers are centres of pixels
};

// The four pixels around a point and their bilinear weights, which are 0 for pixels outside of the plane.
struct Corners {
  Corners(const Point& at, std::int64_t height, std::int64_t width) {
    const double top = std::floor(at.y), left = std::floor(at.x), down = at.y - top, right = at.x - left;
    for (int corner = 0; corner < 4; ++corner) {
      const double y = top + (corner >> 1), x = left + (corner & 1);
      const bool inside = y >= 0 && x >= 0 && y < static_cast<double>(height) && x < static_cast<double>(width);
      offset[corner] = inside ? static_cast<std::int64_t>(y) * width + static_cast<std::int64_t>(x) : 0;
      weight[corner] = inside ? ((corner >> 1) != 0 ? down : 1 - down) * ((corner & 1) != 0 ? right : 1 - right) : 0;
    }
  }
  std::int64_t offset[4];
  double weight[4];
};

// source_of(y, x) returns the Point of the source that pixel (y, x) of the result shows. The image is interpolated bilinearly;
// labels and valid are those of the nearest source pixel (ties: the larger coordinate). All are 0 outside of the source. These
// are plain loops, not torch operators: they run on the loader's thread, which would start a second pool of OpenMP threads.
template <class SourceOf>
Pixels warp(const Pixels& pixels, SourceOf source_of) {
  const auto image = pixels.image.contiguous(), labels = pixels.labels.contiguous();
  const auto valid = pixels.valid.defined() ? pixels.valid.contiguous() : at::Tensor();
  const auto channels = image.size(0), height = labels.size(0), width = labels.size(1), area = height * width;
  Pixels warped{at::empty_like(image), at::empty_like(labels), valid.defined() ? at::empty_like(valid) : at::Tensor()};
  const auto* from = image.data_ptr<std::uint8_t>();
  const auto* from_labels = labels.data_ptr<std::int32_t>();
  const auto* from_valid = valid.defined() ? valid.data_ptr<std::uint8_t>() : nullptr;
  auto* to = warped.image.data_ptr<std::uint8_t>();
  auto* to_labels = warped.labels.data_ptr<std::int32_t>();
  auto* to_valid = valid.defined() ? warped.valid.data_ptr<std::uint8_t>() : nullptr;
  for (std::int64_t y = 0, i = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x, ++i) {
      const Point point = source_of(y, x);
      const Corners corners(point, height, width);
      for (std::int64_t c = 0; c < channels; ++c) {
        double value = 0;
        for (int k = 0; k < 4; ++k) value += corners.weight[k] * from[c * area + corners.offset[k]];
        to[c * area + i] = static_cast<std::uint8_t>(value + 0.5);
      }
      const double row = std::floor(point.y + 0.5), column = std::floor(point.x + 0.5);
      const bool inside = row >= 0 && column >= 0 && row < static_cast<double>(height) && column < static_cast<double>(width);
      const auto nearest = inside ? static_cast<std::int64_t>(row) * width + static_cast<std::int64_t>(column) : 0;
      to_labels[i] = inside ? from_labels[nearest] : 0;
      if (from_valid != nullptr) to_valid[i] = inside ? from_valid[nearest] : 0;
    }
  }
  return warped;
}

}  // namespace cellsam::augment
