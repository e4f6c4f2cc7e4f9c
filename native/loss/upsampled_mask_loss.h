// The mask loss of low-resolution logits on the tile that they are upsampled to.
#pragma once

#include "loss/mask_terms.h"

namespace cellsam::loss {

struct UpsampledMaskLoss {
  MaskLoss loss;
  at::Tensor iou;  // [N] of the thresholded masks with their targets, without gradient; undefined unless asked for
};

// mask_loss of the upsampled logits. `fused`: with the kernels of mask_terms.h on the CPU and of cuda_mask_terms.h on a GPU,
// where they serve; else, and with `fused` off, with tensors of the tile's size. Differentiable once, in `masks.logits`. Throws
// ERR_INVALID_ARGUMENT for shapes or options that do not fit.
UpsampledMaskLoss upsampled_mask_loss(const UpsampledMasks& masks, const MaskLossOptions& options = {}, bool fused = true);

}  // namespace cellsam::loss
