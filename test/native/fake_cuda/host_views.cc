#include "fake_cuda/host_views.h"

#include <cstring>

#include "fake_cuda/device_allocator.h"
#include "fake_cuda/memory.h"
#include "fake_cuda/streams.h"

namespace fake_cuda {

at::Tensor tensor_over(const c10::Storage& storage, c10::DispatchKey key, const at::Tensor& like) {
  auto made = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(key), like.dtype());
  auto* impl = made.unsafeGetTensorImpl();
  impl->set_storage_offset(like.storage_offset());
  impl->set_sizes_and_strides(like.sizes(), like.strides());
  return made;
}

const void* address_of(const at::Tensor& tensor) { return tensor.storage().unsafeGetStorageImpl()->data_ptr().get(); }

at::Tensor HostViews::view(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_cuda()) return tensor;
  auto* impl = tensor.unsafeGetTensorImpl();
  if (const auto known = by_device_.find(impl); known != by_device_.end()) return known->second.host;
  auto* storage = tensor.storage().unsafeGetStorageImpl();
  auto& host_storage = host_storages_[storage];
  if (!host_storage) {
    host_storage = c10::Storage(c10::Storage::use_byte_size_t(), storage->nbytes(),
                                c10::DataPtr(shadow(address_of(tensor)), at::kCPU), c10::GetAllocator(at::kCPU), true);
    device_storages_[host_storage.unsafeGetStorageImpl()] = tensor.storage();
  }
  auto host = tensor_over(host_storage, c10::DispatchKey::CPU, tensor);
  if (impl->is_wrapped_number()) host.unsafeGetTensorImpl()->set_wrapped_number(true);
  if (tensor.is_conj()) host.unsafeGetTensorImpl()->_set_conj(true);
  by_host_[host.unsafeGetTensorImpl()] = impl;
  by_device_[impl] = {tensor, host};
  return host;
}

c10::IValue HostViews::view(const c10::IValue& value) {
  return with_tensors(value, [this](const at::Tensor& tensor) { return view(tensor); });
}

const at::Tensor* HostViews::device_tensor(const at::Tensor& host) const {
  const auto found = by_host_.find(host.unsafeGetTensorImpl());
  return found == by_host_.end() ? nullptr : &by_device_.at(found->second).device;
}

c10::Storage HostViews::device_storage(const at::Tensor& host, int device, bool& is_new) {
  auto* from = host.storage().unsafeGetStorageImpl();
  auto& storage = device_storages_[from];
  is_new = !storage;
  if (is_new) {
    const OnDevice on(device);
    const auto bytes = from->nbytes();
    storage =
        c10::Storage(c10::Storage::use_byte_size_t(), bytes, device_allocator().allocate(bytes), &device_allocator(), true);
    if (bytes > 0) std::memcpy(shadow(storage.unsafeGetStorageImpl()->data_ptr().get()), from->data_ptr().get(), bytes);
    host_storages_[storage.unsafeGetStorageImpl()] = host.storage();  // its address must not come again meanwhile
  }
  return storage;
}

std::vector<const void*> HostViews::follow_resized() {
  std::vector<const void*> fresh;
  for (auto& [impl, pair] : by_device_) {
    auto* host = pair.host.storage().unsafeGetStorageImpl();
    auto* device = pair.device.storage().unsafeGetStorageImpl();
    if (host->data_ptr().get() != shadow(device->data_ptr().get())) {
      const OnDevice on(pair.device.device().index());
      auto grown = device_allocator().allocate(host->nbytes());
      std::memcpy(shadow(grown.get()), host->data_ptr().get(), host->nbytes());
      host->set_data_ptr_noswap(c10::DataPtr(shadow(grown.get()), at::kCPU));  // a graph's replay writes there
      fresh.push_back(grown.get());
      device->set_nbytes(host->nbytes());
      device->set_data_ptr_noswap(std::move(grown));
    }
    if (impl->sizes() != pair.host.sizes() || impl->strides() != pair.host.strides())
      impl->set_sizes_and_strides(pair.host.sizes(), pair.host.strides());
  }
  return fresh;
}

at::Tensor host_view(const at::Tensor& tensor) { return HostViews().view(tensor); }

std::vector<at::Tensor> tensors_in(const c10::IValue& value) {
  std::vector<at::Tensor> all;
  with_tensors(value, [&](const at::Tensor& tensor) {
    if (tensor.defined()) all.push_back(tensor);
    return tensor;
  });
  return all;
}

}  // namespace fake_cuda
