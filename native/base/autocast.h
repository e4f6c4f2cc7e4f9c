// What autocast asks for, for code that casts by itself.
#pragma once

#include <ATen/autocast_mode.h>

namespace cellsam {

// Whether products on such a device are to be in bfloat16.
inline bool bf16_autocast(at::DeviceType device) {
  return at::autocast::is_autocast_enabled(device) && at::autocast::get_autocast_dtype(device) == at::kBFloat16;
}

}  // namespace cellsam
