// What torch's allocator holds on a device, asked through the headers that every libtorch has: no CUDA header is needed.
#pragma once

#include <c10/core/Device.h>

#include <string_view>

#include "base/options.h"
#include "engine.h"

namespace cellsam::device {

// Whether `command` is one of device.memory, device.reset_peak, device.empty_cache. All take {device: "cuda:N"}.
bool is_device_command(std::string_view command);

// Runs one.
//   device.memory      -> bytes {allocated, reserved, max_allocated, max_reserved, free, total}; `free` as the device reports
//   it.
//                         null for the CPU, and while torch has not used the device: asking must not start it.
//   device.reset_peak  -> null; the peaks start again from what is in use
//   device.empty_cache -> null; gives memory that torch keeps for later back to the device
Value call_device(std::string_view command, Options& options);

// device.empty_cache, from within the engine.
void empty_cache(const c10::Device& device);

}  // namespace cellsam::device
