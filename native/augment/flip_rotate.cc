#include "augment/flip_rotate.h"

#include <ATen/ATen.h>

#include <utility>

#include "kernels/strided_copy.h"

namespace cellsam::augment {
namespace {

kernels::StridedPlane plane_of(const FlipRotate& transform, std::int64_t height, std::int64_t width) {
  kernels::StridedPlane plane{height, width, 0, width, 1};
  auto mirror_x = [&plane] {
    plane.start += (plane.width - 1) * plane.column_step;
    plane.column_step = -plane.column_step;
  };
  auto mirror_y = [&plane] {
    plane.start += (plane.height - 1) * plane.row_step;
    plane.row_step = -plane.row_step;
  };
  if (transform.flip_x) mirror_x();
  if (transform.flip_y) mirror_y();
  for (int turn = 0; turn < transform.quarter_turns; ++turn) {  // a counter-clockwise turn: transpose, then mirror the rows
    std::swap(plane.height, plane.width);
    std::swap(plane.row_step, plane.column_step);
    mirror_y();
  }
  return plane;
}

}  // namespace

FlipRotate draw_flip_rotate(CounterRng& rng) {
  FlipRotate transform;
  transform.flip_x = rng.below(2) == 1;
  transform.flip_y = rng.below(2) == 1;
  const bool turns = rng.below(2) == 1;
  const auto quarter_turns = static_cast<int>(rng.below(4));
  transform.quarter_turns = turns ? quarter_turns : 0;
  return transform;
}

Pixels apply(const FlipRotate& transform, const Pixels& pixels) {
  const auto image = pixels.image.contiguous(), labels = pixels.labels.contiguous();
  const auto height = labels.size(0), width = labels.size(1);
  const auto plane = plane_of(transform, height, width);
  Pixels result{
      at::empty({image.size(0), plane.height, plane.width}, at::kByte), at::empty({plane.height, plane.width}, at::kInt), {}};
  for (std::int64_t channel = 0; channel < image.size(0); ++channel) {
    kernels::strided_copy(image.data_ptr<std::uint8_t>() + channel * height * width,
                          result.image.data_ptr<std::uint8_t>() + channel * height * width, plane);
  }
  kernels::strided_copy(labels.data_ptr<std::int32_t>(), result.labels.data_ptr<std::int32_t>(), plane);
  if (pixels.valid.defined()) {
    const auto valid = pixels.valid.contiguous();
    result.valid = at::empty({plane.height, plane.width}, at::kByte);
    kernels::strided_copy(valid.data_ptr<std::uint8_t>(), result.valid.data_ptr<std::uint8_t>(), plane);
  }
  return result;
}

Pixels flip_rotate(const Pixels& pixels, CounterRng& rng) { return apply(draw_flip_rotate(rng), pixels); }

}  // namespace cellsam::augment
