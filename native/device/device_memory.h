// The memory that torch's allocator holds on a device, through the headers that every libtorch has: no CUDA header is needed.
#pragma once

#include <c10/core/Device.h>

#include <string_view>

#include "base/options.h"
#include "engine.h"

namespace cellsam::device {

// Whether `command` is device.memory, device.reset_peak or device.empty_cache. All take {device: "cuda:N"}.
bool is_device_command(std::string_view command);

// Runs such a command:
//   device.memory      -> bytes {allocated, reserved, max_allocated, max_reserved, free, total}; free: of the whole device.
//   null
//                         for the CPU, and while torch has not used the device, which this does not initialise.
//   device.reset_peak  -> null; max_allocated and max_reserved start again from what is in use
//   device.empty_cache -> null; gives memory that torch keeps for later back to the device
Value call_device(std::string_view command, Options& options);

// As device.empty_cache.
void empty_cache(const c10::Device& device);

}  // namespace cellsam::device
