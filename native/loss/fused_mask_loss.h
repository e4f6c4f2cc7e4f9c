// The three terms of the mask loss and their gradient straight from low-resolution logits and a label map, with no tensor of
// the tile's size on the way. This is the interface of a fused kernel; upsampled_mask_loss.h is what callers want.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "loss/mask_loss.h"

namespace cellsam::loss {

struct UpsampledMasks {
  at::Tensor logits;  // [N,h,w]
  at::Tensor labels;  // i32 [H,W], the tile
  at::Tensor ids;     // i32 [N]: the target of a mask is where the label is its id; 0: an empty target
  // Height and width of the map that the logits are resized to before they are resized to the tile, both bilinearly.
  std::int64_t canvas;
  std::optional<std::int32_t> ignored = {};  // pixels of this label are left out (see prompts.h)
  std::optional<double> iou_threshold = {};  // logit above which a pixel counts as found: asks for `iou`
};

// [N] each, in the logits' dtype or float32 for narrower ones.
struct MaskTerms {
  at::Tensor focal, dice, boundary;  // weighted; NaN when a logit is not finite and the weight is not 0
  at::Tensor iou;                    // undefined unless asked for
  at::Tensor gradient;               // [N,h,w] of their sum over the terms, undefined unless asked for
};

// For logits on the CPU. One prompt per task on the CPU threads; each prompt's bits depend on its own input and on the
// instruction set in use (kernels/isa.h), not on the threads. Float64 logits are computed in float64.
MaskTerms mask_terms(const UpsampledMasks& masks, const MaskLossOptions& options, bool needs_gradient);

}  // namespace cellsam::loss
