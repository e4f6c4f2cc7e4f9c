#include "infer/overlap.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace cellsam::infer {
namespace {

// A label map under construction.
struct Canvas {
  Canvas(std::int64_t height, std::int64_t width)
      : height(height), width(width), labels(at::zeros({height, width}, at::kInt)), pixels(labels.data_ptr<std::int32_t>()) {}

  std::int32_t& at(std::int64_t x, std::int64_t y) { return pixels[y * width + x]; }

  // Only what of the mask lies on the canvas.
  void paint(const Mask& mask, std::int32_t id) {
    const auto part = intersect(mask.window, {0, 0, width, height});
    for (std::int64_t y = part.y; y < part.bottom(); ++y) {
      for (std::int64_t x = part.x; x < part.right(); ++x) {
        if (mask.at(x, y)) at(x, y) = id;
      }
    }
  }

  std::int64_t height, width;
  at::Tensor labels;
  std::int32_t* pixels;
};

// Instance i is painted with the id i + 1 in both rules; ids without pixels are closed up afterwards.
void paint_by_score(Canvas& canvas, const std::vector<Instance>& instances, const PredictOptions& options) {
  for (std::size_t i = 0; i < instances.size(); ++i) {
    Mask mask = clip(instances[i].mask, {0, 0, canvas.width, canvas.height});
    fill_holes(mask);
    if (options.largest_piece) keep_largest_piece(mask);
    const auto own = area(mask);
    const auto id = static_cast<std::int32_t>(i + 1);
    auto* bit = mask.bits.data();
    for (std::int64_t y = mask.window.y; y < mask.window.bottom(); ++y) {
      for (std::int64_t x = mask.window.x; x < mask.window.right(); ++x, ++bit) *bit = *bit != 0 && canvas.at(x, y) == 0;
    }
    if (options.largest_piece) keep_largest_piece(mask);
    const auto visible = area(mask);
    if (visible < options.min_area || static_cast<double>(visible) < options.min_visible * static_cast<double>(own)) continue;
    canvas.paint(mask, id);
  }
}

// The pixels of one label inside of a window that holds them all.
Mask mask_of(Canvas& canvas, std::int32_t id, const Window& window) {
  Mask mask{window, {}};
  for (std::int64_t y = window.y; y < window.bottom(); ++y) {
    for (std::int64_t x = window.x; x < window.right(); ++x) mask.bits.push_back(canvas.at(x, y) == id);
  }
  return mask;
}

void paint_officially(Canvas& canvas, const std::vector<Instance>& instances, const PredictOptions& options) {
  for (std::size_t i = 0; i < instances.size(); ++i) canvas.paint(instances[i].mask, static_cast<std::int32_t>(i + 1));
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i + 1);
    auto mask = mask_of(canvas, id, intersect(instances[i].mask.window, {0, 0, canvas.width, canvas.height}));
    if (area(mask) < options.min_area) {
      canvas.paint(mask, 0);
      continue;
    }
    fill_holes(mask);
    canvas.paint(mask, id);
  }
}

// Clears the pixels whose left or lower neighbour has another value, as the official code does; the image's edge is no border.
void clear_boundaries(Canvas& canvas) {
  const auto before = canvas.labels.clone();
  const auto* pixels = before.const_data_ptr<std::int32_t>();
  for (std::int64_t y = 0; y < canvas.height; ++y) {
    for (std::int64_t x = 0; x < canvas.width; ++x) {
      const auto* pixel = pixels + y * canvas.width + x;
      const bool left = x > 0 && pixel[-1] != *pixel;
      const bool below = y + 1 < canvas.height && pixel[canvas.width] != *pixel;
      if (left || below) canvas.at(x, y) = 0;
    }
  }
}

}  // namespace

Resolved resolve_overlaps(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                          const PredictOptions& options) {
  Canvas canvas(height, width);
  if (options.overlap == OverlapRule::Score) {
    paint_by_score(canvas, instances, options);
  } else {
    paint_officially(canvas, instances, options);
  }
  if (options.remove_boundaries) clear_boundaries(canvas);

  std::vector<std::int32_t> new_id(instances.size() + 1, 0);
  auto* end = canvas.pixels + canvas.height * canvas.width;
  std::for_each(canvas.pixels, end, [&](std::int32_t id) { new_id[id] = 1; });
  new_id[0] = 0;
  Resolved resolved{canvas.labels, {}};
  for (std::size_t i = 1; i < new_id.size(); ++i) {
    if (new_id[i] == 0) continue;
    resolved.kept.push_back(static_cast<std::int64_t>(i - 1));
    new_id[i] = static_cast<std::int32_t>(resolved.kept.size());
  }
  std::for_each(canvas.pixels, end, [&](std::int32_t& id) { id = new_id[id]; });
  return resolved;
}

}  // namespace cellsam::infer
