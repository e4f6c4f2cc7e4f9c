#include "loss/matcher.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

#include "engine.h"

namespace cellsam::loss {

namespace {

constexpr double kAlpha = 0.25;
constexpr double kLogFloor = 1e-8;

template <class Number>
struct Corners {
  Number left, top, right, bottom, area;
  explicit Corners(const Number* box)
      : left(box[0] - box[2] / 2),
        top(box[1] - box[3] / 2),
        right(box[0] + box[2] / 2),
        bottom(box[1] + box[3] / 2),
        area((right - left) * (bottom - top)) {}
};

// Fills cost [T,Q] of one image: targets are the rows, so that the assignment's long inner loop runs over neighbours in memory.
template <class Number>
void fill_cost(const Number* logits, const Number* boxes, std::int64_t queries, std::int64_t classes,
               const Number* target_boxes, const std::int64_t* labels, std::int64_t targets, const MatchCost& cost,
               Number* out) {
  const Number alpha = kAlpha, floor = kLogFloor;
  const Number class_weight = cost.class_weight, bbox_weight = cost.bbox_weight, giou_weight = cost.giou_weight;
  std::vector<Number> class_cost(static_cast<std::size_t>(classes * queries));  // [C,Q]
  std::vector<Corners<Number>> corners;
  corners.reserve(queries);
  for (std::int64_t query = 0; query < queries; ++query) {
    corners.emplace_back(boxes + 4 * query);
    for (std::int64_t c = 0; c < classes; ++c) {
      const Number p = 1 / (1 + std::exp(-logits[query * classes + c]));
      const Number hit = alpha * (1 - p) * (1 - p) * -std::log(p + floor);
      const Number other = (1 - alpha) * p * p * -std::log(1 - p + floor);
      class_cost[c * queries + query] = class_weight * (hit - other);
    }
  }
  for (std::int64_t target = 0; target < targets; ++target) {
    const Number* box = target_boxes + 4 * target;
    const Corners<Number> truth(box);
    const Number* of_class = class_cost.data() + labels[target] * queries;
    Number* row = out + target * queries;
    for (std::int64_t query = 0; query < queries; ++query) {
      const Number* guess = boxes + 4 * query;
      const auto& c = corners[query];
      const Number distance =
          std::abs(guess[0] - box[0]) + std::abs(guess[1] - box[1]) + std::abs(guess[2] - box[2]) + std::abs(guess[3] - box[3]);
      const Number overlap = std::max<Number>(std::min(c.right, truth.right) - std::max(c.left, truth.left), 0) *
                             std::max<Number>(std::min(c.bottom, truth.bottom) - std::max(c.top, truth.top), 0);
      const Number joined = c.area + truth.area - overlap;
      const Number hull = (std::max(c.right, truth.right) - std::min(c.left, truth.left)) *
                          (std::max(c.bottom, truth.bottom) - std::min(c.top, truth.top));
      const Number giou = overlap / joined - (hull - joined) / hull;
      row[query] = of_class[query] + bbox_weight * distance - giou_weight * giou;
    }
  }
}

[[noreturn]] void fail(const std::string& what, at::IntArrayRef got) {
  std::ostringstream message;
  message << "matching: " << what << ", got " << got;
  throw Error("ERR_INVALID_ARGUMENT", message.str());
}

struct PlainTargets {
  at::Tensor boxes;   // [T,4] on the CPU, dtype of the predictions
  at::Tensor labels;  // [T] int64 on the CPU
};

PlainTargets read_targets(const Targets& targets, at::ScalarType dtype, std::int64_t classes) {
  if (targets.boxes.dim() != 2 || targets.boxes.size(1) != 4) fail("target boxes must be [T,4]", targets.boxes.sizes());
  if (targets.labels.dim() != 1 || targets.labels.size(0) != targets.boxes.size(0)) {
    fail("labels must be [T] with one entry per target box", targets.labels.sizes());
  }
  PlainTargets plain{targets.boxes.detach().to(at::kCPU, dtype).contiguous(),
                     targets.labels.to(at::kCPU, at::kLong).contiguous()};
  const auto* labels = plain.labels.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < plain.labels.size(0); ++i) {
    if (labels[i] >= 0 && labels[i] < classes) continue;
    throw Error("ERR_INVALID_ARGUMENT",
                "matching: label " + std::to_string(labels[i]) + " of target " + std::to_string(i) + " must be 0 to " +
                    std::to_string(classes - 1),
                {{"target", i}, {"label", labels[i]}});
  }
  return plain;
}

// [T,Q] on the CPU, of contiguous CPU logits [Q,C] and boxes [Q,4].
at::Tensor cost_by_target(const at::Tensor& logits, const at::Tensor& boxes, const PlainTargets& targets,
                          const MatchCost& cost) {
  auto out = at::empty({targets.boxes.size(0), logits.size(0)}, logits.options());
  AT_DISPATCH_FLOATING_TYPES(logits.scalar_type(), "cost_matrix", [&] {
    fill_cost(logits.const_data_ptr<scalar_t>(), boxes.const_data_ptr<scalar_t>(), logits.size(0), logits.size(1),
              targets.boxes.const_data_ptr<scalar_t>(), targets.labels.const_data_ptr<std::int64_t>(), targets.boxes.size(0),
              cost, out.data_ptr<scalar_t>());
  });
  return out;
}

// Solves cost [T,Q] and turns the answer round: rows are queries, ascending.
Assignment assign_queries(const at::Tensor& cost) {
  Assignment found;
  try {
    AT_DISPATCH_FLOATING_TYPES(cost.scalar_type(), "match",
                               [&] { found = hungarian(cost.const_data_ptr<scalar_t>(), cost.size(0), cost.size(1)); });
  } catch (const Error& error) {
    if (error.code != "ERR_NON_FINITE_COST") throw;
    const auto target = *error.detail.at("row").as<double>(), query = *error.detail.at("column").as<double>();
    throw Error(error.code,
                "matching: the cost of query " + std::to_string(static_cast<std::int64_t>(query)) + " and target " +
                    std::to_string(static_cast<std::int64_t>(target)) +
                    " is not finite; look for a non-finite prediction or a target box without area",
                {{"query", query}, {"target", target}});
  }
  const auto count = found.rows.size();
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs(count);
  for (std::size_t i = 0; i < count; ++i) pairs[i] = {found.columns[i], found.rows[i]};
  std::sort(pairs.begin(), pairs.end());
  for (std::size_t i = 0; i < count; ++i) std::tie(found.rows[i], found.columns[i]) = pairs[i];
  return found;
}

at::Tensor plain_prediction(const at::Tensor& tensor) {
  const bool wide = tensor.scalar_type() == at::kDouble;
  return tensor.detach().to(at::kCPU, wide ? at::kDouble : at::kFloat).contiguous();
}

}  // namespace

at::Tensor cost_matrix(const at::Tensor& logits, const at::Tensor& boxes, const Targets& targets, const MatchCost& cost) {
  if (logits.dim() != 2) fail("logits must be [Q,C]", logits.sizes());
  if (boxes.dim() != 2 || boxes.size(0) != logits.size(0) || boxes.size(1) != 4) fail("boxes must be [Q,4]", boxes.sizes());
  const auto plain = plain_prediction(logits);
  const auto truth = read_targets(targets, plain.scalar_type(), plain.size(1));
  return cost_by_target(plain, plain_prediction(boxes).to(plain.scalar_type()), truth, cost).t().contiguous();
}

Match match(const at::Tensor& logits, const at::Tensor& boxes, const Targets& targets, const MatchCost& cost) {
  const auto found = assign_queries(cost_matrix(logits, boxes, targets, cost).t().contiguous());
  return {at::tensor(found.rows, at::kLong), at::tensor(found.columns, at::kLong)};
}

std::vector<Assignment> match_layers(const at::Tensor& logits, const at::Tensor& boxes, const std::vector<Targets>& targets,
                                     const MatchCost& cost) {
  if (logits.dim() != 4) fail("logits must be [L,B,Q,C]", logits.sizes());
  const auto layers = logits.size(0), images = logits.size(1);
  if (boxes.sizes() != at::IntArrayRef({layers, images, logits.size(2), 4})) fail("boxes must be [L,B,Q,4]", boxes.sizes());
  if (images != static_cast<std::int64_t>(targets.size())) fail("one entry of targets is needed per image", logits.sizes());
  const auto plain_logits = plain_prediction(logits);
  const auto plain_boxes = plain_prediction(boxes).to(plain_logits.scalar_type());
  std::vector<PlainTargets> truth;
  for (const auto& image : targets) truth.push_back(read_targets(image, plain_logits.scalar_type(), logits.size(3)));

  std::vector<Assignment> found(static_cast<std::size_t>(layers * images));
  at::parallel_for(0, layers * images, 1, [&](std::int64_t begin, std::int64_t end) {
    at::NoGradGuard no_grad;  // a worker thread has its own grad mode
    for (auto i = begin; i < end; ++i) {
      const auto layer = i / images, image = i % images;
      if (truth[image].boxes.size(0) == 0) continue;
      found[i] = assign_queries(cost_by_target(plain_logits[layer][image], plain_boxes[layer][image], truth[image], cost));
    }
  });
  return found;
}

}  // namespace cellsam::loss
