// How numbers made on the host reach a device without the host waiting for it.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam {

// A host tensor on `device`. Through pinned memory: a copy from pageable memory would first wait for all work that is queued.
at::Tensor upload(const at::Tensor& host, at::Device device);

}  // namespace cellsam
