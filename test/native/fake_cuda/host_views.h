// CPU tensors over the shadow of device tensors, and the way back for what an operator of the CPU returns.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

#include <unordered_map>
#include <vector>

namespace fake_cuda {

class HostViews {
 public:
  // The same sizes, strides and bytes; tensors that share memory get views that share it. Other tensors come back as they are.
  at::Tensor view(const at::Tensor& tensor);
  // ... for every tensor in a value.
  c10::IValue view(const c10::IValue& value);

  // The device tensor of which `host` is a view, if it is one.
  const at::Tensor* device_tensor(const at::Tensor& host) const;
  // The device storage under `host`'s, made on `device` with a copy of its bytes when it is the CPU's own: then `is_new` is
  // set.
  c10::Storage device_storage(const at::Tensor& host, int device, bool& is_new);

  // Lets the device tensors follow views that an operator has given other sizes or more memory. Returns the new memory.
  std::vector<const void*> follow_resized();

 private:
  struct Pair {
    at::Tensor device, host;
  };
  std::unordered_map<c10::TensorImpl*, Pair> by_device_;
  std::unordered_map<c10::TensorImpl*, c10::TensorImpl*> by_host_;
  std::unordered_map<c10::StorageImpl*, c10::Storage> host_storages_, device_storages_;
};

// One tensor's view, for a closure that keeps it.
at::Tensor host_view(const at::Tensor& tensor);

// The tensors in a value, and a value with each of them changed.
std::vector<at::Tensor> tensors_in(const c10::IValue& value);

template <class Change>
c10::IValue with_tensors(const c10::IValue& value, Change change) {
  if (value.isTensor()) return change(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(change(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList())
      list.push_back(tensor ? std::optional<at::Tensor>(change(*tensor)) : tensor);
    return list;
  }
  return value;
}

// A tensor of `like`'s sizes, strides and type over other memory.
at::Tensor tensor_over(const c10::Storage& storage, c10::DispatchKey key, const at::Tensor& like);

// Where a tensor's memory begins on the device.
const void* address_of(const at::Tensor& tensor);

}  // namespace fake_cuda
