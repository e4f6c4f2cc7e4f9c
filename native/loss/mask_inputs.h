// What the losses of the masks share: their checked inputs, and a loss whose gradient is already known. Each loss is one number
// per mask, so its backward pass only scales a gradient that the forward pass can compute while the values are at hand; one
// saved tensor replaces the ten that automatic differentiation would keep.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::loss {

// [N,H,W] each, in float32 or float64, without autograd history. N counts the prompts, one mask each.
struct MaskInputs {
  at::Tensor logits;
  at::Tensor target;
  at::Tensor probability;  // σ(logits)
  bool needs_gradient = false;
  at::Tensor counted;  // 1 where a pixel counts, 0 where it is left out, [N,H,W] or [1,H,W]; undefined: all count
};

// Throws ERR_INVALID_ARGUMENT unless both are [N,H,W] of one shape with H, W >= 1, and `ignored`, if given, is [N,H,W] or
// [1,H,W]: pixels where it is not 0 take no part in value and gradient.
MaskInputs read_mask_inputs(const at::Tensor& logits, const at::Tensor& target, const at::Tensor& ignored = {});

// Mean over the pixels of each mask that count [N]; 0 for a mask without any.
at::Tensor mean_counted(const at::Tensor& values, const at::Tensor& counted);

struct Term {
  at::Tensor value;     // [N]
  at::Tensor gradient;  // [N,H,W] of value in the logits, undefined when not needed
};

// `term.value` as a differentiable function of `logits`, of which it was computed.
at::Tensor attach(const at::Tensor& logits, const Term& term);

}  // namespace cellsam::loss
