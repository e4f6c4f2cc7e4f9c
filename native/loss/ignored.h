// Which detections lie where nobody knows the truth, so that finding something there is no mistake.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace cellsam::loss {

// Tells how much of a box lies on the pixels of `ignored` that are not 0.
class IgnoredRegion {
 public:
  explicit IgnoredRegion(const at::Tensor& ignored);  // [H,W] bool or u8 on the CPU

  // Share of the part of the box (cx, cy, width, height, relative to the image) inside the image that is ignored, exact for
  // fractions of pixels; 0 when no part of the box is inside.
  double share(double cx, double cy, double width, double height) const;

 private:
  double area_before(double y, double x) const;  // ignored area of the rectangle from the origin to (y, x)

  std::int64_t height_, width_;
  std::vector<double> sums_;  // [H+1,W+1], of all pixels above and left
};

}  // namespace cellsam::loss
