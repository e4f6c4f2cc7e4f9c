// Copies tensors from a device to the host without waiting for each of them.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam {

// A copy of `values` on the host, in pinned memory: it is there after the next wait_for(). Those of the CPU are returned as
// they are.
at::Tensor fetch(const at::Tensor& values);

// Waits for everything that is queued on the device's current stream. Does nothing for the CPU.
void wait_for(at::Device device);

}  // namespace cellsam
