// Bilinear resizing of uint8 images in Pillow's fixed-point arithmetic, which official SAM uses before it pads: triangle filter
// widened by the reduction, weights rounded to 22 bits, the horizontal pass rounded to uint8 before the vertical one.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace cellsam::test {

// Along axis 0: [n,m,c] uint8 -> [out,m,c] uint8.
inline at::Tensor pil_resize_rows(const at::Tensor& image, std::int64_t out) {
  if (image.size(0) == out) return image;
  constexpr int kBits = 22;
  const double scale = static_cast<double>(image.size(0)) / static_cast<double>(out);
  const double reach = std::max(scale, 1.0);
  std::vector<at::Tensor> rows;
  for (std::int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - reach + 0.5));
    const auto last = std::min(image.size(0), static_cast<std::int64_t>(centre + reach + 0.5));
    std::vector<double> weights;
    double total = 0;
    for (auto k = first; k < last; ++k) {
      weights.push_back(std::max(0.0, 1 - std::abs((static_cast<double>(k) - centre + 0.5) / reach)));
      total += weights.back();
    }
    auto sum = at::full({image.size(1), image.size(2)}, std::int64_t{1} << (kBits - 1), at::kLong);
    for (auto k = first; k < last; ++k) {
      const auto weight = std::floor(weights[static_cast<std::size_t>(k - first)] / total * (1 << kBits) + 0.5);
      sum += image[k].to(at::kLong) * static_cast<std::int64_t>(weight);
    }
    rows.push_back(sum.bitwise_right_shift(kBits).clamp(0, 255).to(at::kByte));
  }
  return at::stack(rows);
}

// [h,w,c] uint8 -> [height,width,c] uint8.
inline at::Tensor pil_resize_bilinear(const at::Tensor& image, std::int64_t height, std::int64_t width) {
  return pil_resize_rows(pil_resize_rows(image.transpose(0, 1), width).transpose(0, 1), height);
}

}  // namespace cellsam::test
