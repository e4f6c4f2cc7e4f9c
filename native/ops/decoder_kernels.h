// The CPU's kernels of the factored mask decoder (kernels/mask_decoder_kernels.h), as one.
#pragma once

#include "base/switch.h"

namespace cellsam::ops {

// Whether the whole process uses them, on at first. CELLSAM_DECODER_KERNELS=0 in the environment starts with them off: then the
// CPU runs the operations, and under autocast the types, that a GPU does.
inline Switch& decoder_kernels() {
  static Switch on("CELLSAM_DECODER_KERNELS");
  return on;
}

}  // namespace cellsam::ops
