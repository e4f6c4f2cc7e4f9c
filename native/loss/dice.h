// Soft Dice loss on logits (Milletari et al., 3DV 2016): one minus the overlap of the predicted and the true mask.
#pragma once

#include <ATen/core/Tensor.h>

#include "loss/mask_inputs.h"

namespace cellsam::loss {

// 1 - (2 Σpg + smooth) / (Σp + Σg + smooth) over the pixels of each prompt, p = σ(logits): logits [N,H,W] and target [N,H,W]
// (any number dtype, values in [0, 1]) -> [N]. bf16 and half logits are computed in float32. Differentiable in `logits`.
// `ignored`: see prompts.h.
at::Tensor dice_per_prompt(const at::Tensor& logits, const at::Tensor& target, double smooth = 1,
                           const at::Tensor& ignored = {});

// The same, as a term of a sum.
Term dice_term(const Prompts& prompts, double smooth);

}  // namespace cellsam::loss
