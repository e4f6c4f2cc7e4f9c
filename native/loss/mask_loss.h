// The stage-2 loss of a mask: the weighted sum of the losses in the table, linear in their weights.
#pragma once

#include <ATen/core/Tensor.h>

#include "loss/mask_loss_options.h"

namespace cellsam::loss {

struct MaskLoss {
  at::Tensor terms;  // [N,k], weighted, in the order of mask_losses(); without gradient
  at::Tensor total;  // [N], their sum, which carries the gradient
};

// logits [N,H,W], target [N,H,W] of 0 and 1 in any number dtype. A loss of weight 0 is not computed and reads as zeros. bf16
// and fp16 logits are computed in float32. N may be 0. `ignored` [N,H,W] or [1,H,W]: pixels where it is not 0 are left out of
// every term, value and gradient; undefined: all count. Throws ERR_INVALID_ARGUMENT for other shapes. Differentiable once, in
// `logits`.
MaskLoss mask_loss(const at::Tensor& logits, const at::Tensor& target, const MaskLossOptions& options = {},
                   const at::Tensor& ignored = {});

// One loss alone, unweighted [N]; otherwise as above.
at::Tensor single_mask_loss(const MaskLossKind& loss, const at::Tensor& logits, const at::Tensor& target,
                            const LossSettings& settings, const at::Tensor& ignored = {});

}  // namespace cellsam::loss
