// Makes tensors from untrusted numbers: offset, sizes and strides from a file are checked against the available bytes before
// torch gets them.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Storage.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "weights/dtype.h"

namespace cellsam::weights {

constexpr std::size_t kMostDimensions = 16;

// The product of the sizes and item_bytes. Throws ERR_CHECKPOINT_CORRUPT for a negative size and for overflow.
std::int64_t checked_bytes(const std::vector<std::int64_t>& sizes, std::int64_t item_bytes);

// A storage of `size` bytes at `data`, which `owner` keeps alive. Bytes at an address that is not a multiple of 8 are copied,
// since torch expects aligned numbers.
c10::Storage make_storage(char* data, std::int64_t size, const std::shared_ptr<char>& owner);

// The view of `storage` with these sizes and strides (in items, from item `offset` on) as a contiguous tensor, which shares the
// storage if the view is contiguous. Copies, and checks of bools, are subtracted from `budget` bytes: with a stride of 0 a few
// bytes can claim any size, and a pickle can ask for the same tensor a million times. Throws ERR_CHECKPOINT_CORRUPT for
// anything out of bounds, and for a bool that is neither 0 nor 1.
at::Tensor strided_tensor(const c10::Storage& storage, const NumberType& type, std::int64_t offset,
                          const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& strides,
                          std::int64_t& budget);

}  // namespace cellsam::weights
