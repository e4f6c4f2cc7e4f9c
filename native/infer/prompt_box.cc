#include "infer/prompt_box.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/ATen.h>

namespace cellsam::infer {
namespace {

using Box = std::array<double, 4>;

constexpr double kLeastValue = 0.005;  // of score times centrality
constexpr double kMargin = 0.2;        // of the box's sides, around a point on the cell
constexpr double kUsualShare = 0.125;  // of the tile's side, where nothing was detected

bool holds(const Box& box, const Point& point) {
  return point.x >= box[0] && point.x < box[2] && point.y >= box[1] && point.y < box[3];
}

double area(const Box& box) { return (box[2] - box[0]) * (box[3] - box[1]); }

// 1 in the middle of the box, 0 on its edge and outside.
double centrality(const Box& box, const Point& point) {
  const double across = std::abs(2 * point.x - box[0] - box[2]) / (box[2] - box[0]);
  const double down = std::abs(2 * point.y - box[1] - box[3]) / (box[3] - box[1]);
  return std::max(0.0, 1 - std::max(across, down));
}

double median(std::vector<double> values, double fallback) {
  if (values.empty()) return fallback;
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Of the median width and height of the cells that a prediction would find in the tile.
Box usual_box(const Point& point, const std::vector<Box>& boxes, const DetectedBoxes& detected, std::int64_t height,
              std::int64_t width) {
  std::vector<double> widths, heights;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    if (detected.scores[static_cast<std::int64_t>(i)].item<double>() <= detected.threshold) break;  // the best come first
    widths.push_back(boxes[i][2] - boxes[i][0]);
    heights.push_back(boxes[i][3] - boxes[i][1]);
  }
  const double across = median(std::move(widths), kUsualShare * static_cast<double>(width)) / 2;
  const double down = median(std::move(heights), kUsualShare * static_cast<double>(height)) / 2;
  return {point.x - across, point.y - down, point.x + across, point.y + down};
}

Box box_around(const Point& point, const DetectedBoxes& detected, std::int64_t height, std::int64_t width) {
  const auto rows = detected.boxes.contiguous();
  std::vector<Box> boxes(static_cast<std::size_t>(rows.size(0)));
  double best_value = kLeastValue;
  const Box* best = nullptr;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    std::copy_n(rows.const_data_ptr<double>() + 4 * i, 4, boxes[i].begin());
    const double value = detected.scores[static_cast<std::int64_t>(i)].item<double>() * centrality(boxes[i], point);
    if (value <= best_value) continue;
    best_value = value;
    best = &boxes[i];
  }
  return best != nullptr ? *best : usual_box(point, boxes, detected, height, width);
}

// Of the pixels of the mask, in those of the tile. The whole tile where it shows nothing.
Box extent_of_mask(const at::Tensor& mask, std::int64_t height, std::int64_t width) {
  const auto shown = mask.gt(0).nonzero();  // [n,2]: row, column
  if (shown.size(0) == 0) return {0, 0, static_cast<double>(width), static_cast<double>(height)};
  const auto first = std::get<0>(shown.min(0)), last = std::get<0>(shown.max(0)) + 1;
  const double across = static_cast<double>(width) / static_cast<double>(mask.size(1));
  const double down = static_cast<double>(height) / static_cast<double>(mask.size(0));
  return {first[1].item<double>() * across, first[0].item<double>() * down, last[1].item<double>() * across,
          last[0].item<double>() * down};
}

// `box` with room around the point of a share of the sides of `first`, which the box was at the beginning.
Box widened(const Box& box, const Box& first, const Point& point) {
  const double across = kMargin * (first[2] - first[0]), down = kMargin * (first[3] - first[1]);
  return {std::min(box[0], point.x - across), std::min(box[1], point.y - down), std::max(box[2], point.x + across),
          std::max(box[3], point.y + down)};
}

// The largest part of the box beside `point` that holds all points on the cell; the box itself where there is none.
Box cut(const Box& box, const Point& point, const std::vector<Point>& points) {
  if (!holds(box, point)) return box;
  const auto is_whole = [&](const Box& part) {
    return area(part) > 0 &&
           std::all_of(points.begin(), points.end(), [&](const Point& other) { return !other.on_cell || holds(part, other); });
  };
  Box largest = box;
  double largest_area = 0;
  for (const Box& part : {Box{point.x, box[1], box[2], box[3]}, Box{box[0], point.y, box[2], box[3]},
                          Box{box[0], box[1], point.x, box[3]}, Box{box[0], box[1], box[2], point.y}}) {
    if (!is_whole(part) || area(part) <= largest_area) continue;
    largest_area = area(part);
    largest = part;
  }
  return largest;
}

}  // namespace

CandidateLimits prompt_box_limits() { return {.floor = kLeastValue, .most = std::numeric_limits<std::int64_t>::max()}; }

std::array<double, 4> box_of(const Prompt& prompt, const DetectedBoxes& detected, std::int64_t height, std::int64_t width) {
  const auto& points = prompt.points;
  const auto first_box = [&]() -> Box {
    if (prompt.box) return *prompt.box;
    if (prompt.mask.defined()) return extent_of_mask(prompt.mask, height, width);
    const auto shown = std::find_if(points.begin(), points.end(), [](const Point& point) { return point.on_cell; });
    return box_around(shown == points.end() ? points.front() : *shown, detected, height, width);
  };
  const Box first = first_box();
  Box box = first;
  for (const auto& point : points) {
    if (point.on_cell) box = widened(box, first, point);
  }
  for (const auto& point : points) {
    if (!point.on_cell) box = cut(box, point, points);
  }
  return box;
}

}  // namespace cellsam::infer
