// Asks torch about autocast, for operators of ours that cast by themselves.
#pragma once

#include <ATen/autocast_mode.h>

namespace cellsam {

// Whether autocast to bfloat16 is enabled for such devices on this thread.
inline bool bf16_autocast(at::DeviceType device) {
  return at::autocast::is_autocast_enabled(device) && at::autocast::get_autocast_dtype(device) == at::kBFloat16;
}

}  // namespace cellsam
