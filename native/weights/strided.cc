#include "weights/strided.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace cellsam::weights {
namespace {

std::int64_t multiplied(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) corrupt("a tensor's size does not fit 64 bits");
  return product;
}

std::int64_t added(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) corrupt("a tensor's size does not fit 64 bits");
  return sum;
}

// The compiler assumes that the byte of a bool is 0 or 1; another value would be undefined behaviour later.
void check_bools(const at::Tensor& tensor) {
  const auto* bytes = static_cast<const std::uint8_t*>(tensor.const_data_ptr());
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    if (bytes[i] > 1) corrupt("a bool tensor holds a value other than 0 and 1");
  }
}

}  // namespace

std::int64_t checked_bytes(const std::vector<std::int64_t>& sizes, std::int64_t item_bytes) {
  if (sizes.size() > kMostDimensions) corrupt("a tensor has more than 16 dimensions");
  bool empty = false;
  std::int64_t bytes = item_bytes;
  for (auto size : sizes) {
    if (size < 0) corrupt("a tensor has a negative size");
    empty = empty || size == 0;
    // With a size of 0 too, the others must not overflow, as torch multiplies them.
    bytes = multiplied(bytes, std::max<std::int64_t>(size, 1));
  }
  return empty ? 0 : bytes;
}

c10::Storage make_storage(char* data, std::int64_t size, const std::shared_ptr<char>& owner) {
  if (size == 0) return at::empty({0}, at::kByte).storage();
  if (reinterpret_cast<std::uintptr_t>(data) % 8 != 0) {
    auto copy = at::empty({size}, at::kByte);
    std::memcpy(copy.data_ptr(), data, static_cast<std::size_t>(size));
    return copy.storage();
  }
  return at::from_blob(
             data, {size}, [owner](void*) {}, at::kByte)
      .storage();
}

at::Tensor strided_tensor(const c10::Storage& storage, const NumberType& type, std::int64_t offset,
                          const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& strides,
                          std::int64_t& budget) {
  if (sizes.size() != strides.size()) corrupt("a tensor has more or fewer strides than sizes");
  const auto bytes = checked_bytes(sizes, type.bytes);
  if (offset < 0) corrupt("a tensor begins before its storage");
  for (auto stride : strides) {
    if (stride < 0) corrupt("a tensor has a negative stride");
  }
  if (bytes == 0) return at::empty(sizes, type.type);

  std::int64_t last = offset;
  for (std::size_t i = 0; i < sizes.size(); ++i) last = added(last, multiplied(sizes[i] - 1, strides[i]));
  if (multiplied(added(last, 1), type.bytes) > static_cast<std::int64_t>(storage.nbytes())) {
    corrupt("a tensor reaches beyond its storage");
  }
  auto tensor = at::empty({0}, type.type).set_(storage, offset, sizes, strides);
  const bool is_bool = type.type == at::kBool;
  if (is_bool || !tensor.is_contiguous()) {
    if (bytes > budget) corrupt("the tensors claim far more bytes than the file has");
    budget -= bytes;
    tensor = tensor.contiguous();
  }
  if (is_bool) check_bools(tensor);
  return tensor;
}

}  // namespace cellsam::weights
