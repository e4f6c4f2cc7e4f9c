// torch's allocator of the pretend devices, and the one of pinned memory.
#pragma once

#include <c10/core/CachingDeviceAllocator.h>

namespace fake_cuda {

// Allocates on the current device, for its current stream.
c10::DeviceAllocator& device_allocator();

c10::Allocator& pinned_allocator();
bool is_pinned(const void* address);

}  // namespace fake_cuda
