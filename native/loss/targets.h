// What the matching and the losses of the detector are given beside predictions: true cells, and the weights of the costs.
#pragma once

#include <ATen/core/Tensor.h>

#include "settings/stage1.h"

namespace cellsam::loss {

struct MatchCost {
  double class_weight = setting::stage1::set_cost_class.default_value;
  double bbox_weight = setting::stage1::set_cost_bbox.default_value;
  double giou_weight = setting::stage1::set_cost_giou.default_value;
};

// The true cells of one image. Best kept on the CPU: elsewhere, each matching costs a copy.
struct Targets {
  at::Tensor boxes;   // [T,4] cx, cy, width, height, relative to the image
  at::Tensor labels;  // [T] int64, 0 <= label < number of classes
  // [H,W] bool or u8 on the CPU: not 0 where nobody knows whether there is a cell; undefined: nowhere. The matching does not
  // look at it, the class loss does.
  at::Tensor ignored = {};
};

}  // namespace cellsam::loss
