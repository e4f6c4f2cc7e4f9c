#include "loss/match_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <sstream>
#include <tuple>
#include <utility>
#include <vector>

#include "engine.h"
#include "kernels/match_cost_kernel.h"

namespace cellsam::loss {

namespace {

constexpr double kAlpha = 0.25;
constexpr double kLogFloor = 1e-8;

struct Corners {
  double left, top, right, bottom, area;
  explicit Corners(const double* box)
      : left(box[0] - box[2] / 2),
        top(box[1] - box[3] / 2),
        right(box[0] + box[2] / 2),
        bottom(box[1] + box[3] / 2),
        area((right - left) * (bottom - top)) {}
};

// Fills cost [T,Q] of one image in float64, which only checks of gradients need.
void fill_cost(const double* logits, const double* boxes, std::int64_t queries, std::int64_t classes,
               const double* target_boxes, const std::int64_t* labels, std::int64_t targets, const MatchCost& cost,
               double* out) {
  const double alpha = kAlpha, floor = kLogFloor;
  const double class_weight = cost.class_weight, bbox_weight = cost.bbox_weight, giou_weight = cost.giou_weight;
  std::vector<double> class_cost(static_cast<std::size_t>(classes * queries));  // [C,Q]
  std::vector<Corners> corners;
  corners.reserve(queries);
  for (std::int64_t query = 0; query < queries; ++query) {
    corners.emplace_back(boxes + 4 * query);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double p = 1 / (1 + std::exp(-logits[query * classes + c]));
      const double hit = alpha * (1 - p) * (1 - p) * -std::log(p + floor);
      const double other = (1 - alpha) * p * p * -std::log(1 - p + floor);
      class_cost[c * queries + query] = class_weight * (hit - other);
    }
  }
  for (std::int64_t target = 0; target < targets; ++target) {
    const double* box = target_boxes + 4 * target;
    const Corners truth(box);
    const double* of_class = class_cost.data() + labels[target] * queries;
    double* row = out + target * queries;
    for (std::int64_t query = 0; query < queries; ++query) {
      const double* guess = boxes + 4 * query;
      const auto& c = corners[query];
      const double distance =
          std::abs(guess[0] - box[0]) + std::abs(guess[1] - box[1]) + std::abs(guess[2] - box[2]) + std::abs(guess[3] - box[3]);
      const double overlap = std::max<double>(std::min(c.right, truth.right) - std::max(c.left, truth.left), 0) *
                             std::max<double>(std::min(c.bottom, truth.bottom) - std::max(c.top, truth.top), 0);
      const double joined = c.area + truth.area - overlap;
      const double hull = (std::max(c.right, truth.right) - std::min(c.left, truth.left)) *
                          (std::max(c.bottom, truth.bottom) - std::min(c.top, truth.top));
      const double giou = overlap / joined - (hull - joined) / hull;
      row[query] = of_class[query] + bbox_weight * distance - giou_weight * giou;
    }
  }
}

kernels::CostColumns columns_of(const MatchTask& task) {
  const auto& cost = task.cost;
  return {task.logits_of<float>(),
          task.boxes_of<float>(),
          task.queries(),
          task.classes(),
          {static_cast<float>(cost.class_weight), static_cast<float>(cost.bbox_weight), static_cast<float>(cost.giou_weight)}};
}

// Costs that are made whenever the solver looks at a target.
class MadeRows final : public CostRows<float> {
 public:
  MadeRows(const kernels::CostColumns& columns, const HostTargets& targets)
      : columns_(columns),
        boxes_(targets.boxes.const_data_ptr<float>()),
        labels_(targets.labels.const_data_ptr<std::int64_t>()),
        line_(static_cast<std::size_t>(columns.padded())) {}
  Row row(std::int64_t row, float* minima) override {
    const bool finite = columns_.fill(boxes_ + 4 * row, labels_[row], line_.data(), minima);
    return {line_.data(), finite};
  }

 private:
  const kernels::CostColumns& columns_;
  const float* boxes_;
  const std::int64_t* labels_;
  std::vector<float> line_;
};

[[noreturn]] void fail_non_finite(const Error& error) {
  const auto target = *error.detail.at("row").as<double>(), query = *error.detail.at("column").as<double>();
  throw Error(error.code,
              "matching: the cost of query " + std::to_string(static_cast<std::int64_t>(query)) + " and target " +
                  std::to_string(static_cast<std::int64_t>(target)) +
                  " is not finite; look for a non-finite prediction or a target box without area",
              {{"query", query}, {"target", target}});
}

// Costs [T,Q] of one image.
void write_costs(const MatchTask& task, float* out) {
  const auto columns = columns_of(task);
  MadeRows rows(columns, *task.targets);
  std::array<float, kernels::kColumnGroups> minima;
  for (std::int64_t target = 0; target < task.count(); ++target) {
    out = std::copy_n(rows.row(target, minima.data()).costs, columns.queries(), out);
  }
}

void write_costs(const MatchTask& task, double* out) {
  fill_cost(task.logits_of<double>(), task.boxes_of<double>(), task.queries(), task.classes(),
            task.targets->boxes.const_data_ptr<double>(), task.targets->labels.const_data_ptr<std::int64_t>(), task.count(),
            task.cost, out);
}

template <class Number>
Assignment assign_stored(const MatchTask& task) {
  std::vector<Number> costs(static_cast<std::size_t>(task.count() * task.queries()));
  write_costs(task, costs.data());
  return hungarian(costs.data(), task.count(), task.queries());
}

// Rows are targets.
Assignment assign_targets(const MatchTask& task) {
  if (task.logits.scalar_type() == at::kDouble) return assign_stored<double>(task);
  if (task.count() > task.queries()) return assign_stored<float>(task);
  const auto columns = columns_of(task);
  MadeRows rows(columns, *task.targets);
  Assignment found;
  found.columns = assign_rows(rows, task.count(), task.queries());
  found.rows.resize(found.columns.size());
  std::iota(found.rows.begin(), found.rows.end(), std::int64_t{0});
  return found;
}

}  // namespace

void fail_match(const std::string& what, at::IntArrayRef got) {
  std::ostringstream message;
  message << "matching: " << what << ", got " << got;
  throw Error("ERR_INVALID_ARGUMENT", message.str());
}

HostTargets read_targets(const Targets& targets, at::ScalarType dtype, std::int64_t classes) {
  if (targets.boxes.dim() != 2 || targets.boxes.size(1) != 4) fail_match("target boxes must be [T,4]", targets.boxes.sizes());
  if (targets.labels.dim() != 1 || targets.labels.size(0) != targets.boxes.size(0)) {
    fail_match("labels must be [T] with one entry per target box", targets.labels.sizes());
  }
  HostTargets read{targets.boxes.detach().to(at::kCPU, dtype).contiguous(),
                   targets.labels.to(at::kCPU, at::kLong).contiguous()};
  const auto* labels = read.labels.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < read.labels.size(0); ++i) {
    if (labels[i] >= 0 && labels[i] < classes) continue;
    throw Error("ERR_INVALID_ARGUMENT",
                "matching: label " + std::to_string(labels[i]) + " of target " + std::to_string(i) + " must be 0 to " +
                    std::to_string(classes - 1),
                {{"target", i}, {"label", labels[i]}});
  }
  return read;
}

at::Tensor match_costs(const MatchTask& task) {
  auto costs = at::empty({task.count(), task.queries()}, task.logits.options());
  AT_DISPATCH_FLOATING_TYPES(costs.scalar_type(), "cost_matrix", [&] { write_costs(task, costs.data_ptr<scalar_t>()); });
  return costs;
}

Assignment solve_match(const MatchTask& task) {
  if (task.count() == 0 || task.queries() == 0) return {};
  Assignment found;
  try {
    found = assign_targets(task);
  } catch (const Error& error) {
    if (error.code == "ERR_NON_FINITE_COST") fail_non_finite(error);
    throw;
  }
  const auto count = found.rows.size();
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs(count);
  for (std::size_t i = 0; i < count; ++i) pairs[i] = {found.columns[i], found.rows[i]};
  std::sort(pairs.begin(), pairs.end());
  for (std::size_t i = 0; i < count; ++i) std::tie(found.rows[i], found.columns[i]) = pairs[i];
  return found;
}

}  // namespace cellsam::loss
