// What the three mask losses share: their checked inputs, and a loss whose gradient is already known. Each loss is a number per
// prompt, so its backward pass only scales a gradient that the forward pass can compute while the values are at hand; one saved
// tensor replaces the ten that automatic differentiation would keep.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::loss {

// [N,H,W] each, in float32 or float64, without autograd history.
struct Prompts {
  at::Tensor logits;
  at::Tensor target;
  at::Tensor probability;  // σ(logits)
  bool needs_gradient = false;
  at::Tensor counted;  // 1 where a pixel counts, 0 where it is left out, [N,H,W] or [1,H,W]; undefined: all count
};

// Throws ERR_INVALID_ARGUMENT unless both are [N,H,W] of one shape with H, W >= 1, and `ignored`, if given, is [N,H,W] or
// [1,H,W]: pixels where it is not 0 take no part in value and gradient.
Prompts read_prompts(const at::Tensor& logits, const at::Tensor& target, const at::Tensor& ignored = {});

// Mean over the pixels of each prompt that count [N]; 0 for a prompt without any.
at::Tensor mean_counted(const at::Tensor& values, const at::Tensor& counted);

struct Term {
  at::Tensor value;     // [N]
  at::Tensor gradient;  // [N,H,W] of value in the logits, undefined when not needed
};

// `term.value` as a differentiable function of `logits`.
at::Tensor attach(const at::Tensor& logits, const Term& term);

}  // namespace cellsam::loss
