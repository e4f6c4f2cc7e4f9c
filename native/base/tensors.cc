#include "base/tensors.h"

#include <ATen/ATen.h>

namespace cellsam {

at::Tensor to_tensor(const Array& array) {
  auto keep = [owner = array.owner](void*) {};
  switch (array.dtype) {
    case Dtype::u8: return at::from_blob(array.data, array.shape, keep, at::kByte);
    case Dtype::u16: {
      auto wide = at::empty(array.shape, at::kInt);
      const auto* from = static_cast<const std::uint16_t*>(array.data);
      std::copy(from, from + array.numel(), wide.data_ptr<std::int32_t>());
      return wide;
    }
    case Dtype::i32: return at::from_blob(array.data, array.shape, keep, at::kInt);
    case Dtype::f32: return at::from_blob(array.data, array.shape, keep, at::kFloat);
    case Dtype::f64: return at::from_blob(array.data, array.shape, keep, at::kDouble);
  }
  throw Error("ERR_INTERNAL", "array with an unknown dtype");
}

Array to_array(const at::Tensor& tensor) {
  auto plain = std::make_shared<at::Tensor>(tensor.detach().to(at::kCPU).contiguous());
  Array array;
  switch (plain->scalar_type()) {
    case at::kByte:
    case at::kBool: array.dtype = Dtype::u8; break;
    case at::kInt: array.dtype = Dtype::i32; break;
    case at::kFloat: array.dtype = Dtype::f32; break;
    case at::kDouble: array.dtype = Dtype::f64; break;
    default: throw Error("ERR_INTERNAL", std::string("no array dtype for ") + c10::toString(plain->scalar_type()));
  }
  array.shape = plain->sizes().vec();
  array.data = plain->data_ptr();
  array.owner = plain;
  return array;
}

}  // namespace cellsam
