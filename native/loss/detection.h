// The stage-1 loss: matches queries to cells, then focal class loss, L1 and GIoU on the boxes, for the last decoder layer and
// for every earlier (auxiliary) one.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <string_view>
#include <vector>

#include "base/options.h"
#include "loss/layer_matcher.h"
#include "loss/matcher.h"
#include "settings/detector.h"
#include "settings/stage1.h"

namespace cellsam::loss {

struct DetectionLossOptions {
  double ce_weight = setting::detector::ce_loss_weight.default_value;
  double bbox_weight = setting::detector::bbox_loss_weight.default_value;
  double giou_weight = setting::detector::giou_loss_weight.default_value;
  double focal_alpha = setting::stage1::focal_alpha.default_value;  // gamma is 2
  bool aux_loss = setting::stage1::aux_loss.default_value;          // add the losses of the earlier decoder layers to the total
  MatchCost match_cost;

  // Reads ce_loss_weight, bbox_loss_weight, giou_loss_weight, focal_alpha, aux_loss and set_cost_class, _bbox, _giou; those
  // that are absent stay. The caller calls options.done().
  void read(Options& options);
  // Reads the three weights alone.
  void read_weights(Options& options);
};

// Zero-dimensional tensors on the predictions' device. `total` carries the gradient; the components are detached.
struct DetectionLoss {
  at::Tensor total;
  at::Tensor ce, bbox, giou;  // weighted, last layer only
  double class_error = 100;   // percent of the matched queries of the last layer whose best class is wrong; 100 if none
};

// One of the three losses in the sum.
struct DetectorTerm {
  std::string_view name;  // of its metric loss_NAME
  setting::Number setting;
  double DetectionLossOptions::*weight;
  at::Tensor DetectionLoss::*value;
};

inline constexpr std::array<DetectorTerm, 3> kDetectorTerms{{
    {"ce", setting::detector::ce_loss_weight, &DetectionLossOptions::ce_weight, &DetectionLoss::ce},
    {"bbox", setting::detector::bbox_loss_weight, &DetectionLossOptions::bbox_weight, &DetectionLoss::bbox},
    {"giou", setting::detector::giou_loss_weight, &DetectionLossOptions::giou_weight, &DetectionLoss::giou},
}};

// logits: per decoder layer, last one last, [B,Q,C]; boxes: likewise [B,Q,4] sigmoid cx, cy, width, height; targets: B entries.
// Every sum is divided by N = max(1, targets in the batch). An image, or a whole batch, without cells is valid. A query that is
// matched with no cell and whose box lies at least half in an ignored region (ignored.h) is left out of the class loss.
// The host waits for the device once, for logits and boxes, which the matching needs. Throws as `cost_matrix` and `match` do.
DetectionLoss detection_loss(const std::vector<at::Tensor>& logits, const std::vector<at::Tensor>& boxes,
                             const std::vector<Targets>& targets, const DetectionLossOptions& options = {});

// The same of logits [L,B,Q,C] and boxes [L,B,Q,4] with a matching that was begun before, which must have been given these
// targets and cost weights, and every layer that counts: all, or without `aux_loss` the last one alone.
DetectionLoss detection_loss(const at::Tensor& logits, const at::Tensor& boxes, const std::vector<Targets>& targets,
                             const DetectionLossOptions& options, LayerMatcher& matcher);

}  // namespace cellsam::loss
