// PyTorch's .pth files (the zip form of torch.save, torch >= 1.6), read without running their pickle and written so that
// Python's torch.load(weights_only=True) reads them.
#pragma once

#include <string>

#include "weights/file.h"
#include "weights/tensor_map.h"

namespace cellsam::weights {

// The tensors of the state dict in the file, in its order, contiguous, on the CPU, in the file's dtypes (half, bfloat16,
// float, double, int8 to int64, uint8, bool). Names of one tensor share one storage; all
// storages lie in one buffer, which lives as long as any of the tensors. The state dict is the outermost dict,
// or the dict under its key `state_dict`, `model_state_dict` or `model` when no key of the outer one starts with `model.`.
// Entries that are no tensors (epoch, metrics, optimizer) are passed over.
// Throws ERR_CHECKPOINT_READ (no such file), ERR_CHECKPOINT_CORRUPT (checksum or structure), ERR_CHECKPOINT_UNSAFE (the
// pickle wants something that is not data; the message names it), ERR_CHECKPOINT_FORMAT (no state dict in it).
TensorMap read_pth(const std::string& path);

// Writes an OrderedDict of tensors, atomically. Tensors that start at the same address with the same bytes share one
// storage in the file. Two calls with equal tensors write equal files. Throws ERR_CHECKPOINT_WRITE,
// ERR_INVALID_ARGUMENT (repeated name, sparse or quantised tensor, unknown dtype).
WrittenFile write_pth(const std::string& path, const TensorMap& tensors);

}  // namespace cellsam::weights
