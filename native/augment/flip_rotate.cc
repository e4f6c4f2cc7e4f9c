#include "augment/flip_rotate.h"

#include <ATen/ATen.h>

#include <utility>

#include "augment/walk.h"

namespace cellsam::augment {
namespace {

Walk walk_of(const Augmentation& augmentation, std::int64_t height, std::int64_t width) {
  Walk walk{height, width, 0, width, 1};
  auto mirror_x = [&walk] {
    walk.start += (walk.width - 1) * walk.column_step;
    walk.column_step = -walk.column_step;
  };
  auto mirror_y = [&walk] {
    walk.start += (walk.height - 1) * walk.row_step;
    walk.row_step = -walk.row_step;
  };
  if (augmentation.flip_x) mirror_x();
  if (augmentation.flip_y) mirror_y();
  for (int turn = 0; turn < augmentation.quarter_turns; ++turn) {  // a counter-clockwise turn transposes, then mirrors rows
    std::swap(walk.height, walk.width);
    std::swap(walk.row_step, walk.column_step);
    mirror_y();
  }
  return walk;
}

}  // namespace

Augmentation draw_flip_rotate(CounterRng& rng) {
  Augmentation augmentation;
  augmentation.flip_x = rng.below(2) == 1;
  augmentation.flip_y = rng.below(2) == 1;
  const bool turn = rng.below(2) == 1;
  const auto quarters = static_cast<int>(rng.below(4));
  augmentation.quarter_turns = turn ? quarters : 0;
  return augmentation;
}

// Own loops over the raw pixels instead of flip and rot90: they run in the loader's thread, which must not raise a second
// pool of OpenMP threads beside the trainer's.
Pixels apply(const Augmentation& augmentation, const Pixels& pixels) {
  const auto image = pixels.image.contiguous(), labels = pixels.labels.contiguous();
  const auto height = labels.size(0), width = labels.size(1);
  const auto walk = walk_of(augmentation, height, width);
  Pixels turned{
      at::empty({image.size(0), walk.height, walk.width}, at::kByte), at::empty({walk.height, walk.width}, at::kInt), {}};
  for (std::int64_t channel = 0; channel < image.size(0); ++channel) {
    gather(image.data_ptr<std::uint8_t>() + channel * height * width,
           turned.image.data_ptr<std::uint8_t>() + channel * height * width, walk);
  }
  gather(labels.data_ptr<std::int32_t>(), turned.labels.data_ptr<std::int32_t>(), walk);
  if (pixels.valid.defined()) {
    const auto valid = pixels.valid.contiguous();
    turned.valid = at::empty({walk.height, walk.width}, at::kByte);
    gather(valid.data_ptr<std::uint8_t>(), turned.valid.data_ptr<std::uint8_t>(), walk);
  }
  return turned;
}

Step flip_rotate_step() {
  return {"flip_rotate", Level::Simple,
          [](const Pixels& pixels, CounterRng& rng) { return apply(draw_flip_rotate(rng), pixels); }};
}

}  // namespace cellsam::augment
