// As much of torch's CUDA allocator as native/cuda/graph.cc may ask for.
#pragma once

#include <c10/core/CachingDeviceAllocator.h>

namespace c10::cuda::CUDACachingAllocator {

__attribute__((visibility("default"))) void endAllocateToPool(DeviceIndex device, MempoolId_t pool);
__attribute__((visibility("default"))) void releasePool(DeviceIndex device, MempoolId_t pool);

}  // namespace c10::cuda::CUDACachingAllocator
