// Copies tensors from the host to a device without waiting for the device.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam {

// The host tensor on `device`. It goes through pinned memory: a copy from pageable memory would first wait for all queued work.
at::Tensor upload(const at::Tensor& host, at::Device device);

}  // namespace cellsam
