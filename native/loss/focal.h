// Focal loss on logits (Lin et al., ICCV 2017): cross entropy that fades out where a prediction is already good. The masks'
// loss is its mean over pixels (focal.cc); the detector's loss adds these elements up over queries and classes.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::loss {

// Elementwise α_t (1-p_t)^γ BCE(logit, target), same shape as `logits`; p = σ(logit), p_t = p for target 1 and 1-p for 0.
// `target` has the shape and dtype of `logits`, values in [0, 1]; α_t = α target + (1-α)(1-target), α < 0 leaves α_t out.
// γ >= 0. Value and gradient are finite for every finite logit. Differentiable in `logits`.
at::Tensor focal_elements(const at::Tensor& logits, const at::Tensor& target, double alpha, double gamma);

}  // namespace cellsam::loss
