// Resampling under a geometry: each pixel of the result says where in the source it comes from. The image is interpolated, the
// labels never are, so that a label stays a label.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "augment/augment.h"

namespace cellsam::augment {

struct Place {
  double y, x;  // in source pixels; whole numbers are pixel centres
};

// The corners around a place and their weights; what lies outside of the plane counts as 0.
struct Corners {
  Corners(const Place& at, std::int64_t height, std::int64_t width) {
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

// `place_of(y, x)` answers the Place that pixel (y, x) of the result shows. Image bilinear, labels and valid pixels those of
// the nearest source pixel (ties away from the origin), 0 outside of the source. Plain loops: they run in the loader's thread,
// which must not raise a second pool of OpenMP threads beside the trainer's.
template <class PlaceOf>
Pixels warp(const Pixels& pixels, PlaceOf place_of) {
  const auto image = pixels.image.contiguous(), labels = pixels.labels.contiguous();
  const auto valid = pixels.valid.defined() ? pixels.valid.contiguous() : at::Tensor();
  const auto channels = image.size(0), height = labels.size(0), width = labels.size(1), area = height * width;
  Pixels warped{at::empty_like(image), at::empty_like(labels), valid.defined() ? at::empty_like(valid) : at::Tensor()};
  const auto* from = image.data_ptr<std::uint8_t>();
  const auto* ids = labels.data_ptr<std::int32_t>();
  const auto* known = valid.defined() ? valid.data_ptr<std::uint8_t>() : nullptr;
  auto* to = warped.image.data_ptr<std::uint8_t>();
  auto* to_ids = warped.labels.data_ptr<std::int32_t>();
  auto* to_known = valid.defined() ? warped.valid.data_ptr<std::uint8_t>() : nullptr;
  for (std::int64_t y = 0, i = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x, ++i) {
      const Place place = place_of(y, x);
      const Corners corners(place, height, width);
      for (std::int64_t c = 0; c < channels; ++c) {
        double value = 0;
        for (int k = 0; k < 4; ++k) value += corners.weight[k] * from[c * area + corners.offset[k]];
        to[c * area + i] = static_cast<std::uint8_t>(value + 0.5);
      }
      const double row = std::floor(place.y + 0.5), column = std::floor(place.x + 0.5);
      const bool inside = row >= 0 && column >= 0 && row < static_cast<double>(height) && column < static_cast<double>(width);
      const auto nearest = inside ? static_cast<std::int64_t>(row) * width + static_cast<std::int64_t>(column) : 0;
      to_ids[i] = inside ? ids[nearest] : 0;
      if (known != nullptr) to_known[i] = inside ? known[nearest] : 0;
    }
  }
  return warped;
}

}  // namespace cellsam::augment
