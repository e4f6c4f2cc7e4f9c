#include "loss/ignored.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace cellsam::loss {

IgnoredRegion::IgnoredRegion(const at::Tensor& ignored)
    : height_(ignored.size(0)), width_(ignored.size(1)), sums_(static_cast<std::size_t>((height_ + 1) * (width_ + 1)), 0) {
  const auto bytes = ignored.to(at::kByte).contiguous();
  const auto* pixel = bytes.const_data_ptr<std::uint8_t>();
  const auto pitch = width_ + 1;
  for (std::int64_t y = 0; y < height_; ++y) {
    double row = 0;
    for (std::int64_t x = 0; x < width_; ++x) {
      row += *pixel++ != 0 ? 1 : 0;
      sums_[(y + 1) * pitch + x + 1] = sums_[y * pitch + x + 1] + row;
    }
  }
}

// Between whole pixels the area grows bilinearly, since a pixel is ignored as a whole or not at all.
double IgnoredRegion::area_before(double y, double x) const {
  const auto top = std::min(static_cast<std::int64_t>(y), height_ - 1),
             left = std::min(static_cast<std::int64_t>(x), width_ - 1);
  const double down = y - static_cast<double>(top), right = x - static_cast<double>(left);
  const auto* corner = sums_.data() + top * (width_ + 1) + left;
  const double above = corner[0] + (corner[1] - corner[0]) * right;
  const double below = corner[width_ + 1] + (corner[width_ + 2] - corner[width_ + 1]) * right;
  return above + (below - above) * down;
}

double IgnoredRegion::share(double cx, double cy, double width, double height) const {
  const auto rows = static_cast<double>(height_), columns = static_cast<double>(width_);
  const double top = std::clamp((cy - height / 2) * rows, 0.0, rows), bottom = std::clamp((cy + height / 2) * rows, 0.0, rows);
  const double left = std::clamp((cx - width / 2) * columns, 0.0, columns),
               right = std::clamp((cx + width / 2) * columns, 0.0, columns);
  const double area = (bottom - top) * (right - left);
  if (!(area > 0)) return 0;
  return (area_before(bottom, right) - area_before(top, right) - area_before(bottom, left) + area_before(top, left)) / area;
}

}  // namespace cellsam::loss
