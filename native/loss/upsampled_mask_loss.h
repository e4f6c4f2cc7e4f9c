// The loss of the masks that the decoder gives in low resolution, on the tile that they are upsampled to.
#pragma once

#include "loss/fused_mask_loss.h"
#include "loss/mask_loss.h"

namespace cellsam::loss {

struct UpsampledMaskLoss {
  MaskLoss loss;
  at::Tensor iou;  // [N] of the thresholded masks with their targets, without gradient; undefined unless asked for
};

// mask_loss of the upsampled logits. `fused`: with the kernels of fused_mask_loss.h where they serve; else, and with `fused`
// off, with tensors of the tile's size. Differentiable once, in `masks.logits`. Throws ERR_INVALID_ARGUMENT for shapes that do
// not fit.
UpsampledMaskLoss upsampled_mask_loss(const UpsampledMasks& masks, const MaskLossOptions& options = {}, bool fused = true);

}  // namespace cellsam::loss
