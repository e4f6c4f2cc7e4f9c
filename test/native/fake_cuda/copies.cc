// aten::copy_ on the device, between devices, and between device and host: where asynchrony shows. A copy to the host that does
// not block spoils its target until the host has waited for it; one from the host looks at its source again when it has ended.
#include <torch/library.h>

#include <cstring>

#include "fake_cuda/device_allocator.h"
#include "fake_cuda/graphs.h"
#include "fake_cuda/host_views.h"
#include "fake_cuda/launch.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/place.h"
#include "fake_cuda/report.h"
#include "fake_cuda/streams.h"

namespace fake_cuda {
namespace {

std::uint64_t checksum(const void* begin, std::size_t size) {
  std::uint64_t sum = 14695981039346656037ULL;  // FNV-1a
  const auto* bytes = static_cast<const unsigned char*>(begin);
  for (std::size_t i = 0; i < size; ++i) sum = (sum ^ bytes[i]) * 1099511628211ULL;
  return sum;
}

void copy_on_device(const at::Tensor& to, const at::Tensor& from) {
  count(&Counts::on_device);
  const auto stream = current_stream(to.device().index()), other = current_stream(from.device().index());
  const bool peers = stream.device != other.device;
  if (peers) {  // torch lets the streams of both devices wait for each other, before and after
    const Locked lock(state());
    clock_of(stream).join(clock_of(other));
  }
  launch({peers ? "copy between devices" : "aten::copy_", stream, {address_of(from)}, {address_of(to)}},
         [to = host_view(to), from = host_view(from)] { to.copy_(from); });
  if (peers) {
    const Locked lock(state());
    clock_of(other).join(clock_of(stream));
  }
}

void copy_to_device(const at::Tensor& to, const at::Tensor& from, bool non_blocking) {
  count(&Counts::to_device);
  const auto stream = current_stream(to.device().index());
  const bool late = non_blocking && is_pinned(from.const_data_ptr());
  const bool recording = is_recording(stream);
  if (recording && !late) refuse_to_record(stream, "a copy from pageable memory");
  const auto start =
      launch({"copy to the device", stream, {}, {address_of(to)}}, [to = host_view(to), from] { to.copy_(from); });
  if (!late) return wait_for(stream, non_blocking ? "copy from pageable memory" : "blocking copy to the device");
  if (recording) return;
  const auto bytes = from.storage().nbytes();
  const auto sum = checksum(from.storage().data(), bytes);
  start_transfer(start, from.storage().data(), bytes, [storage = from.storage(), bytes, sum, at = place()] {
    if (checksum(storage.data(), bytes) != sum)
      hazard("pinned memory has changed while its copy to the device was under way; the copy began at " + at);
  });
}

void copy_to_host(const at::Tensor& to, const at::Tensor& from, bool non_blocking) {
  count(&Counts::to_host);
  const auto stream = current_stream(from.device().index());
  const bool late = non_blocking && is_pinned(to.const_data_ptr());
  const Work work{"copy to the host", stream, {address_of(from)}, {}};
  if (is_recording(stream)) {
    if (!late) refuse_to_record(stream, "a copy to pageable memory");
    launch(work, [to, from = host_view(from)] { to.copy_(from); });
    return;
  }
  at::Tensor bytes;
  const auto start = launch(work, [&bytes, from = host_view(from)] { bytes = from.clone(); });
  const auto land = [to, bytes] { run_on_host([&] { to.copy_(bytes); }); };
  if (!late) {
    wait_for(stream, non_blocking ? "copy to pageable memory" : "blocking copy to the host");
    return land();
  }
  if (to.is_non_overlapping_and_dense()) std::memset(to.data_ptr(), kPoison, to.nbytes());
  start_transfer(start, to.data_ptr(), to.nbytes(), land);
}

at::Tensor& copy_(at::Tensor& self, const at::Tensor& source, bool non_blocking) {
  if (self.is_same(source) || self.numel() == 0) return self;
  if (self.is_cuda() && source.is_cuda()) {
    copy_on_device(self, source);
  } else if (self.is_cuda()) {
    copy_to_device(self, source, non_blocking);
  } else {
    copy_to_host(self, source, non_blocking);
  }
  return self;
}

}  // namespace
}  // namespace fake_cuda

TORCH_LIBRARY_IMPL(aten, CUDA, library) { library.impl("copy_", TORCH_FN(fake_cuda::copy_)); }
