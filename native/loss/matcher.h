// Which query of the detector is responsible for which true cell (DETR's bipartite matching, Carion et al., ECCV 2020, with the
// focal class cost of Deformable DETR). Works on the CPU and has no gradient.
#pragma once

#include <ATen/core/Tensor.h>

#include "loss/targets.h"

namespace cellsam::loss {

// Query source[i] is matched with target target[i]; int64 [min(Q,T)] on the CPU, `source` ascends.
struct Match {
  at::Tensor source;
  at::Tensor target;
};

// Cost [Q,T] on the CPU, float32 (float64 for float64 logits), of logits [Q,C] and boxes [Q,4] (cx, cy, width, height) against
// T targets: class_weight·class + bbox_weight·L1 - giou_weight·GIoU, class = α(1-p)²(-ln(p+1e-8)) - (1-α)p²(-ln(1-p+1e-8)) with
// α = .25 and p = σ(logit of the target's class). Throws ERR_INVALID_ARGUMENT for a wrong shape or a label that is no class.
at::Tensor cost_matrix(const at::Tensor& logits, const at::Tensor& boxes, const Targets& targets, const MatchCost& cost = {});

// The cheapest one-to-one matching of that cost. Throws ERR_NON_FINITE_COST when a prediction is not finite.
Match match(const at::Tensor& logits, const at::Tensor& boxes, const Targets& targets, const MatchCost& cost = {});

}  // namespace cellsam::loss
