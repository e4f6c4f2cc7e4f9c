#include "base/fetch.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace cellsam {

at::Tensor fetch(const at::Tensor& values) {
  if (values.is_cpu()) return values;
  auto host = at::empty(values.sizes(), values.options().device(at::kCPU).pinned_memory(true));
  return host.copy_(values, /*non_blocking=*/true);
}

c10::Event record_event(at::Device device) {
  c10::Event event(device.type());
  event.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  return event;
}

void wait_for(at::Device device) {
  if (!device.is_cpu()) record_event(device).synchronize();
}

}  // namespace cellsam
