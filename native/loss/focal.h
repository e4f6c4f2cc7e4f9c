// Focal loss on logits (Lin et al., ICCV 2017): cross entropy that fades out where the answer is already good. Shared by the
// mask loss (mean over pixels) and by the detection loss (sum over queries and classes).
#pragma once

#include <ATen/core/Tensor.h>

#include "loss/mask_inputs.h"

namespace cellsam::loss {

// Elementwise α_t (1-p_t)^γ BCE(logit, target), same shape as `logits`; p = σ(logit), p_t = p for target 1 and 1-p for 0.
// `target` has the shape and dtype of `logits`, values in [0, 1]; α_t = α target + (1-α)(1-target), α < 0 leaves α_t out.
// γ >= 0, else ERR_INVALID_ARGUMENT. Value and gradient are finite for every finite logit. Differentiable in `logits`.
at::Tensor focal_elements(const at::Tensor& logits, const at::Tensor& target, double alpha, double gamma);

// Mean over the pixels of each prompt: logits [N,H,W] and target [N,H,W] (any number dtype, values in [0, 1]) -> [N].
// bf16 and half logits are computed in float32. `ignored`: see prompts.h.
at::Tensor focal_per_prompt(const at::Tensor& logits, const at::Tensor& target, double alpha = 0.25, double gamma = 2,
                            const at::Tensor& ignored = {});

// The same, as a term of a sum.
Term focal_term(const Prompts& prompts, double alpha, double gamma);

}  // namespace cellsam::loss
