#include "base/upload.h"

#include <ATen/ATen.h>

namespace cellsam {

at::Tensor upload(const at::Tensor& host, at::Device device) {
  return device.is_cpu() ? host : host.pin_memory().to(device, /*non_blocking=*/true);
}

}  // namespace cellsam
