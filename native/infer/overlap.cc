#include "infer/overlap.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>

#include "infer/bit_mask.h"

namespace cellsam::infer {
namespace {

// A label map under construction.
struct Canvas {
  explicit Canvas(at::Tensor map)
      : height(map.size(0)), width(map.size(1)), labels(std::move(map)), pixels(labels.data_ptr<std::int32_t>()) {}

  std::int32_t& at(std::int64_t x, std::int64_t y) { return pixels[y * width + x]; }

  // Paints the part of the mask that lies on the canvas.
  void paint(const Mask& mask, std::int32_t id) {
    for (const auto& run : clip(mask, {0, 0, width, height}).runs)
      std::fill(&at(run.x, run.y), &at(run.x, run.y) + (run.end - run.x), id);
  }

  std::int64_t height, width;
  at::Tensor labels;
  std::int32_t* pixels;
};

// With both rules instance i has the id i + 1; resolve_overlaps() closes the gaps that ids without pixels leave.
at::Tensor paint_by_score(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                          const PredictOptions& options) {
  Painter painter(height, width, options);
  for (std::size_t i = 0; i < instances.size(); ++i) painter.paint(instances[i].mask, static_cast<std::int32_t>(i + 1));
  return painter.labels();
}

// The pixels of one label, within a window that contains them all.
BitMask mask_of(Canvas& canvas, std::int32_t id, const Window& window) {
  BitMask mask{window, std::vector<std::uint8_t>(static_cast<std::size_t>(window.area()))};
  auto* bit = mask.bits.data();
  for (std::int64_t y = window.y; y < window.bottom(); ++y) {
    const auto* label = &canvas.at(window.x, y);
    for (std::int64_t x = 0; x < window.width; ++x) *bit++ = label[x] == id;
  }
  return mask;
}

void paint_by_official_rule(Canvas& canvas, const std::vector<Instance>& instances, const PredictOptions& options) {
  for (std::size_t i = 0; i < instances.size(); ++i) canvas.paint(instances[i].mask, static_cast<std::int32_t>(i + 1));
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i + 1);
    auto mask = mask_of(canvas, id, intersect(instances[i].mask.window, {0, 0, canvas.width, canvas.height}));
    if (area(mask) < options.min_area) {
      canvas.paint(to_mask(mask), 0);
      continue;
    }
    fill_holes(mask);
    canvas.paint(to_mask(mask), id);
  }
}

// Clears the pixels whose left or lower neighbour has another label, as
// the official code does. The image's edge is no boundary.
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

Painter::Painter(std::int64_t height, std::int64_t width, const PredictOptions& options)
    : height_(height),
      width_(width),
      min_area_(options.min_area),
      min_visible_(options.min_visible),
      largest_piece_(options.largest_piece),
      labels_(at::zeros({height, width}, at::kInt)),
      pixels_(labels_.data_ptr<std::int32_t>()) {}

Mask Painter::paint(const Mask& mask, std::int32_t id) {
  BitMask free = to_bits(clip(mask, {0, 0, width_, height_}));
  fill_holes(free);
  if (largest_piece_) keep_largest_piece(free);
  const auto whole_area = area(free);
  auto* bit = free.bits.data();
  for (std::int64_t y = free.window.y; y < free.window.bottom(); ++y) {
    const auto* label = pixels_ + y * width_ + free.window.x;
    for (std::int64_t x = 0; x < free.window.width; ++x, ++bit, ++label) *bit = *bit != 0 && *label == 0;
  }
  if (largest_piece_) keep_largest_piece(free);
  const auto visible_area = area(free);
  if (visible_area < min_area_ || static_cast<double>(visible_area) < min_visible_ * static_cast<double>(whole_area)) return {};
  auto painted = to_mask(free);
  fill(painted, id);
  return painted;
}

void Painter::erase(const Mask& visible) { fill(visible, 0); }

void Painter::fill(const Mask& mask, std::int32_t id) {
  for (const auto& run : mask.runs) {
    auto* row = pixels_ + run.y * width_;
    std::fill(row + run.x, row + run.end, id);
  }
}

Resolved resolve_overlaps(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                          const PredictOptions& options) {
  const bool by_score = options.overlap == OverlapRule::Score;
  Canvas canvas(by_score ? paint_by_score(instances, height, width, options) : at::zeros({height, width}, at::kInt));
  if (!by_score) paint_by_official_rule(canvas, instances, options);
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
