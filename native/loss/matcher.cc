#include "loss/matcher.h"

#include <ATen/ATen.h>

#include "loss/match_task.h"

namespace cellsam::loss {

namespace {

// One image as a batch of one, [1,Q,C] and [1,Q,4] on the CPU.
struct PlainPrediction {
  at::Tensor logits, boxes;
};

PlainPrediction read_prediction(const at::Tensor& logits, const at::Tensor& boxes) {
  if (logits.dim() != 2) fail_match("logits must be [Q,C]", logits.sizes());
  if (boxes.dim() != 2 || boxes.size(0) != logits.size(0) || boxes.size(1) != 4) {
    fail_match("boxes must be [Q,4]", boxes.sizes());
  }
  const auto dtype = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto on_host = [&](const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, dtype).contiguous().unsqueeze(0); };
  return {on_host(logits), on_host(boxes)};
}

}  // namespace

at::Tensor cost_matrix(const at::Tensor& logits, const at::Tensor& boxes, const Targets& targets, const MatchCost& cost) {
  const auto prediction = read_prediction(logits, boxes);
  const auto truth = read_targets(targets, prediction.logits.scalar_type(), logits.size(1));
  return match_costs({prediction.logits, prediction.boxes, 0, &truth, cost}).t().contiguous();
}

Match match(const at::Tensor& logits, const at::Tensor& boxes, const Targets& targets, const MatchCost& cost) {
  const auto prediction = read_prediction(logits, boxes);
  const auto truth = read_targets(targets, prediction.logits.scalar_type(), logits.size(1));
  const auto found = solve_match({prediction.logits, prediction.boxes, 0, &truth, cost});
  return {at::tensor(found.rows, at::kLong), at::tensor(found.columns, at::kLong)};
}

}  // namespace cellsam::loss
