// Operators that make, resize and view tensors of the device.
#include <ATen/Context.h>
#include <ATen/EmptyTensor.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <torch/library.h>

#include <cstring>

#include "fake_cuda/device_allocator.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/report.h"
#include "fake_cuda/streams.h"

namespace fake_cuda {
namespace {

constexpr c10::DispatchKeySet kCuda(c10::DispatchKey::CUDA);

int device_or_current(const std::optional<at::Device>& device) {
  return device && device->has_index() ? device->index() : current_device();
}

// In deterministic mode torch fills what it allocates, unless it is told not to.
void count_fill() {
  const auto& context = at::globalContext();
  if (context.deterministicAlgorithms() && context.deterministicFillUninitializedMemory()) count_launch("fill");
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device> device, std::optional<bool> pinned, std::optional<at::MemoryFormat> format) {
  TORCH_CHECK(!pinned.value_or(false), "Only dense CPU tensors can be pinned");
  const OnDevice on(device_or_current(device));
  count_fill();
  return at::Tensor(at::detail::empty_generic(size, &device_allocator(), kCuda, c10::dtype_or_default(dtype), format));
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool> pinned) {
  TORCH_CHECK(!pinned.value_or(false), "Only dense CPU tensors can be pinned");
  const OnDevice on(device_or_current(device));
  count_fill();
  return at::Tensor(at::detail::empty_strided_generic(size, stride, &device_allocator(), kCuda, c10::dtype_or_default(dtype)));
}

const at::Tensor& resize_(const at::Tensor& self, at::IntArrayRef size, std::optional<at::MemoryFormat>) {
  if (self.sizes() == size) return self;
  auto* impl = self.unsafeGetTensorImpl();
  impl->set_sizes_contiguous(size);
  const auto bytes = static_cast<std::size_t>(impl->numel() + impl->storage_offset()) * impl->itemsize();
  auto* storage = self.storage().unsafeGetStorageImpl();
  if (bytes <= storage->nbytes()) return self;
  const OnDevice on(self.device().index());
  auto grown = device_allocator().allocate(bytes);
  if (storage->nbytes() > 0) std::memcpy(shadow(grown.get()), shadow(storage->data_ptr().get()), storage->nbytes());
  storage->set_data_ptr_noswap(std::move(grown));
  storage->set_nbytes(bytes);
  return self;
}

void record_stream(at::Tensor& self, at::Stream stream) { device_allocator().recordStream(self.storage().data_ptr(), stream); }

}  // namespace
}  // namespace fake_cuda

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", TORCH_FN(fake_cuda::empty));
  library.impl("empty_strided", TORCH_FN(fake_cuda::empty_strided));
  library.impl("resize_", TORCH_FN(fake_cuda::resize_));
  library.impl("record_stream", TORCH_FN(fake_cuda::record_stream));
  library.impl("view", TORCH_FN(at::native::view));
  library.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  library.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  library.impl("unfold", TORCH_FN(at::native::unfold));
}
