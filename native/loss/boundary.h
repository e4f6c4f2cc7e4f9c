// Boundary loss: the mean difference between the Sobel edges of the predicted and of the true mask.
#pragma once

#include <ATen/core/Tensor.h>

#include "loss/mask_inputs.h"

namespace cellsam::loss {

// mean |E(σ(logits)) - E(target)| over the pixels of each prompt, E(u) = sqrt(gx² + gy² + 1e-6) with the 3x3 Sobel filters
// and zero padding 1: logits [N,H,W] and target [N,H,W] (any number dtype, values in [0, 1]) -> [N].
// bf16 and half logits are computed in float32. Differentiable once, in `logits`. With `ignored` pixels (see prompts.h) the
// edges whose 3x3 window meets one are left out too, since they are not known.
at::Tensor boundary_per_prompt(const at::Tensor& logits, const at::Tensor& target, const at::Tensor& ignored = {});

// The same, as a term of a sum.
Term boundary_term(const Prompts& prompts);

}  // namespace cellsam::loss
