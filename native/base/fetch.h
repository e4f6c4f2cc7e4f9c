// Copies tensors from a device to the host without waiting for each of them.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

namespace cellsam {

// A copy of `values` on the host, in pinned memory: it is there after the next wait_for(), or when an event occurs that was
// recorded after it. Those of the CPU are returned as they are.
at::Tensor fetch(const at::Tensor& values);

// An event that occurs when everything is done that is queued on the current stream of `device`, which is not the CPU.
c10::Event record_event(at::Device device);

// Waits for everything that is queued on the device's current stream. Does nothing for the CPU.
void wait_for(at::Device device);

}  // namespace cellsam
