// Tensors out of untrusted numbers: offset, sizes and strides from a file are checked against the bytes that are there
// before torch sees them.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Storage.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "weights/dtype.h"

namespace cellsam::weights {

constexpr std::size_t kMostDimensions = 16;

// sizes' product times the item size. ERR_CHECKPOINT_CORRUPT on a negative size or overflow.
std::int64_t checked_bytes(const std::vector<std::int64_t>& sizes, std::int64_t item_bytes);

// A storage over `size` bytes at `data`, which `owner` keeps alive. Bytes that stand at an address unfit for 8-byte numbers
// are copied: vector loads of torch expect aligned numbers.
c10::Storage make_storage(char* data, std::int64_t size, const std::shared_ptr<char>& owner);

// The view of `storage` with these sizes and strides (in items, from item `offset` on), as a contiguous tensor: shares the
// storage when the view is contiguous. Copies, and the check of bools, are charged to `budget` bytes first: a stride of 0
// lets a few bytes claim any size, and a pickle may ask for the same tensor a million times. ERR_CHECKPOINT_CORRUPT on anything
// out of bounds, and on a bool that is neither 0 nor 1.
at::Tensor strided_tensor(const c10::Storage& storage, const NumberType& type, std::int64_t offset,
                          const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& strides,
                          std::int64_t& budget);

}  // namespace cellsam::weights
