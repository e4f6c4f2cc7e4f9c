// Resampling under a geometric transformation: a function says which point of the source each pixel of the result shows. The
// image is interpolated; labels are not, so that they stay labels.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "augment/augmentations.h"

namespace cellsam::augment {

struct Point {
  double y, x;  // in pixels of the source; whole numbers are centres of pixels
};

// The largest whole number that is not above `value`: faster than std::floor on processors without an instruction for it.
inline std::int64_t floor_of(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return whole - (static_cast<double>(whole) > value ? 1 : 0);
}

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
      const auto top = floor_of(point.y), left = floor_of(point.x);
      const double below = point.y - static_cast<double>(top), beside = point.x - static_cast<double>(left);
      const auto down = static_cast<float>(below), right = static_cast<float>(beside);
      float weights[] = {(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right};
      std::int64_t corners[] = {top * width + left, top * width + left + 1, (top + 1) * width + left,
                                (top + 1) * width + left + 1};
      const auto nearest = (below >= 0.5 ? 2 : 0) + (beside >= 0.5 ? 1 : 0);  // of the four corners
      bool inside = true;                                                     // the nearest one
      if (top < 0 || left < 0 || top + 1 >= height || left + 1 >= width) {
        for (int corner = 0; corner < 4; ++corner) {
          const auto row = top + (corner >> 1), column = left + (corner & 1);
          if (row >= 0 && column >= 0 && row < height && column < width) continue;
          weights[corner] = 0;
          corners[corner] = 0;
          if (corner == nearest) inside = false;
        }
      }
      for (std::int64_t c = 0; c < channels; ++c) {
        const auto* const plane = from + c * area;
        float value = 0.5F;
        for (int corner = 0; corner < 4; ++corner) value += weights[corner] * static_cast<float>(plane[corners[corner]]);
        to[c * area + i] = static_cast<std::uint8_t>(value);
      }
      to_labels[i] = inside ? from_labels[corners[nearest]] : 0;
      if (from_valid != nullptr) to_valid[i] = inside ? from_valid[corners[nearest]] : 0;
    }
  }
  return warped;
}

}  // namespace cellsam::augment
