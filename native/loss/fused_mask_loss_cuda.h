// mask_terms() on a GPU, by the kernels of libcellsam_cuda.
#pragma once

#include <optional>

#include "loss/mask_terms.h"

namespace cellsam::loss {

// For logits on a GPU. Nothing where the kernels do not serve: without the library, for logits wider than float32, and for
// tiles of more than sixteen times the logits' side, of which a block cannot hold even one cell's pixels.
std::optional<MaskTerms> cuda_mask_terms(const UpsampledMasks& masks, const MaskLossOptions& options, bool needs_gradient);

}  // namespace cellsam::loss
