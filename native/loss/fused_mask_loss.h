// Focal, dice and boundary loss and their gradient straight from low-resolution logits and a label map, with no tensor of the
// tile's size on the way. These are the kernels of the CPU and of a GPU; upsampled_mask_loss.h is what callers want.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "loss/mask_loss_options.h"

namespace cellsam::loss {

struct UpsampledMasks {
  at::Tensor logits;  // [N,h,w]
  at::Tensor labels;  // i32 [H,W], the tile
  at::Tensor ids;     // i32 [N]: the target of a mask is where the label is its id; 0: an empty target
  // Height and width of the map that the logits are resized to before they are resized to the tile, both bilinearly.
  std::int64_t canvas;
  std::optional<std::int32_t> ignored = {};  // pixels of this label are left out (see mask_inputs.h)
  std::optional<double> iou_threshold = {};  // logit above which a pixel counts as found: asks for `iou`
};

// The losses that the kernels know.
struct FusedLosses {
  double focal_weight, focal_alpha, focal_gamma;
  double dice_weight, dice_smooth;
  double boundary_weight;
};

// Those of `options`; nothing where another loss has a weight, which the kernels would leave out.
std::optional<FusedLosses> fused_losses(const MaskLossOptions& options);

// In the logits' dtype, or float32 for narrower ones.
struct FusedMaskLoss {
  at::Tensor terms;     // [N,3]: focal, dice, boundary, weighted; NaN when a logit is not finite and the weight is not 0
  at::Tensor iou;       // [N], undefined unless asked for
  at::Tensor gradient;  // [N,h,w] of the sum of the terms, undefined unless asked for
};

// For logits on the CPU. One mask per task on the CPU threads; each mask's bits depend on its own input and on the instruction
// set in use (kernels/isa.h), not on the threads. Float64 logits are computed in float64.
FusedMaskLoss fused_mask_loss_cpu(const UpsampledMasks& masks, const FusedLosses& losses, bool needs_gradient);

// For logits on a GPU, by the kernels of libcellsam_cuda. Nothing where they do not serve: without the library, on a GPU that
// it holds no code for, for logits wider than float32, and for tiles of more than sixteen times the logits' side, of which a
// block cannot hold the pixels of even one logit.
std::optional<FusedMaskLoss> fused_mask_loss_cuda(const UpsampledMasks& masks, const FusedLosses& losses, bool needs_gradient);

}  // namespace cellsam::loss
