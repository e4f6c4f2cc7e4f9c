// The stage-2 loss of a prompt: the weighted sum of focal, dice and boundary loss, linear in its weights.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::loss {

struct MaskLossOptions {
  double focal_weight = 1;
  double focal_alpha = 0.25;
  double focal_gamma = 2;
  double dice_weight = 1;
  double dice_smooth = 1;
  double boundary_weight = 1;
  bool use_boundary = true;
};

// Every tensor is [N], already weighted; total = focal + dice + boundary. Only `total` carries the gradient.
struct MaskLoss {
  at::Tensor focal;
  at::Tensor dice;
  at::Tensor boundary;
  at::Tensor total;
};

// logits [N,H,W], target [N,H,W] of 0 and 1 in any number dtype. A term of weight 0 (or boundary with `use_boundary` off) is
// not computed and reads as zeros. N may be 0. `ignored` [N,H,W] or [1,H,W]: pixels where it is not 0 are left out of every
// term, value and gradient (see prompts.h); undefined: all count.
MaskLoss mask_loss(const at::Tensor& logits, const at::Tensor& target, const MaskLossOptions& options = {},
                   const at::Tensor& ignored = {});

}  // namespace cellsam::loss
