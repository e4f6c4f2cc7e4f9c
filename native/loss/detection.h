// The stage-1 loss: matches queries to cells, then focal class loss, L1 and GIoU on the boxes, for the last decoder layer and
// for every earlier (auxiliary) one.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "loss/layer_matcher.h"
#include "loss/matcher.h"

namespace cellsam::loss {

struct DetectionLossOptions {
  double ce_weight = 1;
  double bbox_weight = 5;
  double giou_weight = 2;
  double focal_alpha = 0.25;  // gamma is 2
  bool aux_loss = true;       // add the losses of the earlier decoder layers to the total
  MatchCost match_cost;
};

// Zero-dimensional tensors on the predictions' device. `total` carries the gradient; the components are detached.
struct DetectionLoss {
  at::Tensor total;
  at::Tensor ce, bbox, giou;  // weighted, last layer only
  double class_error = 100;   // percent of the matched queries of the last layer whose best class is wrong; 100 if none
};

// logits: per decoder layer, last one last, [B,Q,C]; boxes: likewise [B,Q,4] sigmoid cx, cy, width, height; targets: B entries.
// Every sum is divided by N = max(1, targets in the batch). An image, or a whole batch, without cells is valid. A query that is
// matched with no cell and whose box lies at least half in an ignored region (ignored.h) is left out of the class loss.
// The host waits for the device once, for logits and boxes, which the matching needs. Throws as `cost_matrix` and `match` do.
DetectionLoss detection_loss(const std::vector<at::Tensor>& logits, const std::vector<at::Tensor>& boxes,
                             const std::vector<Targets>& targets, const DetectionLossOptions& options = {});

// The same with a matching that was begun before, which must have been given these targets and cost weights, and every layer
// that counts: all, or without `aux_loss` the last one alone.
DetectionLoss detection_loss(const std::vector<at::Tensor>& logits, const std::vector<at::Tensor>& boxes,
                             const std::vector<Targets>& targets, const DetectionLossOptions& options, LayerMatcher& matcher);

}  // namespace cellsam::loss
