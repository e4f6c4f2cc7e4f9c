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
};

// Throws ERR_INVALID_ARGUMENT unless both are [N,H,W] of one shape with H, W >= 1.
Prompts read_prompts(const at::Tensor& logits, const at::Tensor& target);

struct Term {
  at::Tensor value;     // [N]
  at::Tensor gradient;  // [N,H,W] of value in the logits, undefined when not needed
};

// `term.value` as a differentiable function of `logits`.
at::Tensor attach(const at::Tensor& logits, const Term& term);

}  // namespace cellsam::loss
