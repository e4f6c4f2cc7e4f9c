#include "kernels/match_cost_kernel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/isa.h"
#include "kernels/vector.h"

namespace cellsam::kernels {

namespace {

constexpr float kAlpha = 0.25F;
constexpr float kLogFloor = 1e-8F;
constexpr float kPadding = 1e38F;
enum Kind : std::int64_t { kCx, kCy, kWidth, kHeight, kLeft, kTop, kRight, kBottom, kArea, kClasses };

CELLSAM_INLINE float min_of(float a, float b) { return a < b ? a : b; }
CELLSAM_INLINE float max_of(float a, float b) { return a > b ? a : b; }
CELLSAM_INLINE float absolute(float x) { return __builtin_fabsf(x); }

struct Row {
  const float* columns;     // [kClasses,padded]
  const float* class_cost;  // [padded], giou_weight already added
  std::int64_t padded;
  float cx, cy, width, height, left, top, right, bottom, area;
  float bbox_weight, giou_weight;
  float zero = 0;  // not a constant: the largest of x and a constant becomes two instructions
};

CELLSAM_INLINE void class_costs(const float* logits, std::int64_t queries, std::int64_t classes, float weight, float* out) {
  for (std::int64_t query = 0; query < queries; ++query) {
    // 1 - p loses digits where the network is sure. The official matcher loses the same ones, and its pairs are wanted.
    const float p = 1 / (1 + exp_same_bits(-logits[query * classes]));
    const float hit = kAlpha * (1 - p) * (1 - p) * -log_same_bits(p + kLogFloor);
    const float other = (1 - kAlpha) * p * p * -log_same_bits(1 - p + kLogFloor);
    out[query] = weight * (hit - other);
  }
}

// The processor's units for sums and comparisons are what limits this loop, hence the forms: the hull's sides come from those
// of the overlap, and the GIoU, overlap / joined - (hull - joined) / hull, is overlap / joined + joined / hull - 1.
CELLSAM_INLINE void fill_row(const Row& row, float* out, float* minima) {
  const float* column = row.columns;
  const auto padded = row.padded;
  for (std::int64_t first = 0; first < padded; first += kColumnGroups) {
    for (std::int64_t i = 0; i < kColumnGroups; ++i) {
      const auto q = first + i;
      const float width = column[kWidth * padded + q], height = column[kHeight * padded + q];
      const float distance = absolute(column[kCx * padded + q] - row.cx) + absolute(column[kCy * padded + q] - row.cy) +
                             absolute(width - row.width) + absolute(height - row.height);
      const float across = min_of(column[kRight * padded + q], row.right) - max_of(column[kLeft * padded + q], row.left);
      const float down = min_of(column[kBottom * padded + q], row.bottom) - max_of(column[kTop * padded + q], row.top);
      const float overlap = max_of(across, row.zero) * max_of(down, row.zero);
      const float joined = column[kArea * padded + q] + row.area - overlap;
      const float hull = (width + row.width - across) * (height + row.height - down);
      const float cost = row.class_cost[q] + row.bbox_weight * distance - row.giou_weight * (overlap / joined + joined / hull);
      out[q] = cost;
      minima[i] = min_of(cost, minima[i]);
    }
  }
}

// Of a row that lies in memory; one addition per number tells whether all are finite.
template <class Number>
CELLSAM_INLINE void minima_and_sums(const Number* costs, std::int64_t columns, Number* minima, Number* sums) {
  std::int64_t first = 0;
  for (; first + kColumnGroups <= columns; first += kColumnGroups) {
    for (std::int64_t i = 0; i < kColumnGroups; ++i) {
      minima[i] = costs[first + i] < minima[i] ? costs[first + i] : minima[i];
      sums[i] += costs[first + i];
    }
  }
  for (std::int64_t i = 0; first + i < columns; ++i) {
    minima[i] = costs[first + i] < minima[i] ? costs[first + i] : minima[i];
    sums[i] += costs[first + i];
  }
}

// Most groups of columns have no number that is small enough and are left behind together.
template <class Number>
CELLSAM_INLINE std::int64_t select_within(const Number* costs, std::int64_t columns, Number bound, std::int32_t* found) {
  constexpr std::int64_t kAtOnce = 32;
  std::int64_t count = 0, column = 0;
  for (; column + kAtOnce <= columns; column += kAtOnce) {
    std::int32_t any = 0;
    for (std::int64_t i = 0; i < kAtOnce; ++i) any |= costs[column + i] <= bound ? -1 : 0;
    if (any == 0) continue;
    for (std::int64_t i = 0; i < kAtOnce; ++i) {
      found[count] = static_cast<std::int32_t>(column + i);
      count += costs[column + i] <= bound ? 1 : 0;
    }
  }
  for (; column < columns; ++column) {
    found[count] = static_cast<std::int32_t>(column);
    count += costs[column] <= bound ? 1 : 0;
  }
  return count;
}

template <class Number>
bool all_finite(const std::array<Number, kColumnGroups>& sums) {
  for (const Number sum : sums) {
    if (!std::isfinite(sum)) return false;
  }
  return true;
}

// Whether every cost of a box with such sides is finite against another of the kind.
bool gives_finite_costs(float cx, float cy, float width, float height, float area) {
  constexpr float kLeast = 1e-30F, kMost = 1e6F;
  return std::abs(cx) < kMost && std::abs(cy) < kMost && width > 0 && width < kMost && height > 0 && height < kMost &&
         area > kLeast;
}

}  // namespace

CostColumns::CostColumns(const float* logits, const float* boxes, std::int64_t queries, std::int64_t classes,
                         const CostWeights& weights)
    : queries_(queries),
      padded_((queries + kColumnGroups - 1) / kColumnGroups * kColumnGroups),
      weights_(weights),
      numbers_(static_cast<std::size_t>((kClasses + classes) * padded_), 1.0F) {
  auto* to = numbers_.data();
  all_finite_ = std::abs(weights.bbox_weight) + std::abs(weights.giou_weight) < 1e6F;
  for (std::int64_t query = 0; query < queries; ++query) {
    const float* box = boxes + 4 * query;
    for (auto kind : {kCx, kCy, kWidth, kHeight}) to[kind * padded_ + query] = box[kind];
    const float left = box[0] - box[2] / 2, right = box[0] + box[2] / 2, top = box[1] - box[3] / 2,
                bottom = box[1] + box[3] / 2;
    to[kLeft * padded_ + query] = left;
    to[kTop * padded_ + query] = top;
    to[kRight * padded_ + query] = right;
    to[kBottom * padded_ + query] = bottom;
    const float area = (right - left) * (bottom - top);
    to[kArea * padded_ + query] = area;
    all_finite_ = all_finite_ && gives_finite_costs(box[0], box[1], box[2], box[3], area);
  }
  for (std::int64_t c = 0; c < classes; ++c) {
    auto* costs = to + (kClasses + c) * padded_;
    class_costs(logits + c, queries, classes, weights.class_weight, costs);
    for (std::int64_t query = 0; query < queries; ++query) {
      costs[query] += weights.giou_weight;
      all_finite_ = all_finite_ && std::abs(costs[query]) < 1e30F;
    }
    std::fill(costs + queries, costs + padded_, kPadding);
  }
}

bool CostColumns::fill(const float* box, std::int64_t label, float* costs, float* minima) const {
  const float left = box[0] - box[2] / 2, right = box[0] + box[2] / 2, top = box[1] - box[3] / 2, bottom = box[1] + box[3] / 2;
  const Row row{.columns = part(0),
                .class_cost = part(kClasses + label),
                .padded = padded_,
                .cx = box[0],
                .cy = box[1],
                .width = box[2],
                .height = box[3],
                .left = left,
                .top = top,
                .right = right,
                .bottom = bottom,
                .area = (right - left) * (bottom - top),
                .bbox_weight = weights_.bbox_weight,
                .giou_weight = weights_.giou_weight};
  std::fill_n(minima, kColumnGroups, std::numeric_limits<float>::infinity());
  fill_row(row, costs, minima);
  return all_finite_ && gives_finite_costs(box[0], box[1], box[2], box[3], row.area);
}

bool group_minima(const float* costs, std::int64_t columns, float* minima) {
  std::array<float, kColumnGroups> sums{};
  std::fill_n(minima, kColumnGroups, std::numeric_limits<float>::infinity());
  minima_and_sums(costs, columns, minima, sums.data());
  return all_finite(sums);
}

bool group_minima(const double* costs, std::int64_t columns, double* minima) {
  std::array<double, kColumnGroups> sums{};
  std::fill_n(minima, kColumnGroups, std::numeric_limits<double>::infinity());
  minima_and_sums(costs, columns, minima, sums.data());
  return all_finite(sums);
}

std::int64_t columns_within(const float* costs, std::int64_t columns, float bound, std::int32_t* found) {
  return select_within(costs, columns, bound, found);
}

std::int64_t columns_within(const double* costs, std::int64_t columns, double bound, std::int32_t* found) {
  return select_within(costs, columns, bound, found);
}

}  // namespace cellsam::kernels
