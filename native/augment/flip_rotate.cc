#include "augment/flip_rotate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace cellsam::augment {
namespace {

// Where the pixel at (y, x) of a turned plane comes from: source offset = start + y * row_step + x * column_step.
struct Walk {
  std::int64_t height, width;  // of the result
  std::int64_t start, row_step, column_step;
};

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

// Where neighbours of a row stay neighbours, whole rows are copied. Where rows become columns, a square of pixels is done
// before the next one, whose lines stay in the cache meanwhile.
template <class T>
void gather(const T* from, T* to, const Walk& walk) {
  constexpr std::int64_t kSquare = 32;
  from += walk.start;
  if (walk.column_step == 1) {
    for (std::int64_t y = 0; y < walk.height; ++y) std::copy_n(from + y * walk.row_step, walk.width, to + y * walk.width);
  } else if (walk.column_step == -1) {
    for (std::int64_t y = 0; y < walk.height; ++y) {
      const T* last = from + y * walk.row_step;
      std::reverse_copy(last + 1 - walk.width, last + 1, to + y * walk.width);
    }
  } else {
    for (std::int64_t top = 0; top < walk.height; top += kSquare) {
      const auto bottom = std::min(top + kSquare, walk.height);
      for (std::int64_t left = 0; left < walk.width; left += kSquare) {
        const auto right = std::min(left + kSquare, walk.width);
        for (auto y = top; y < bottom; ++y) {
          const T* row = from + y * walk.row_step;
          for (auto x = left; x < right; ++x) to[y * walk.width + x] = row[x * walk.column_step];
        }
      }
    }
  }
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

}  // namespace cellsam::augment
