// Reads PyTorch's .pth files (the zip format of torch.save, torch >= 1.6) without executing their pickle, and writes them so
// that torch.load(weights_only=True) reads them.
#pragma once

#include <string>

#include "weights/file.h"
#include "weights/tensor_map.h"

namespace cellsam::weights {

// The tensors of the state dict in the file, in its order, contiguous, on the CPU, in the file's dtypes (those of dtype.h).
// Names of one tensor share a storage. All storages are parts of one buffer, which lives as long as any of the tensors. The
// state dict is the outermost dict, or the dict under its key `state_dict`, `model_state_dict` or `model` if no key of the
// outer one starts with `model.`. Entries that are no tensors (epoch, metrics, optimizer) are ignored. Throws
// ERR_CHECKPOINT_READ (no such file), ERR_CHECKPOINT_CORRUPT (checksum or structure), ERR_CHECKPOINT_UNSAFE (the pickle asks
// for something that is no data, which the message names), ERR_CHECKPOINT_FORMAT (there is no state dict).
TensorMap read_pth(const std::string& path);

// Writes an OrderedDict of tensors, atomically. Tensors at the same address with the same number of bytes share a storage in
// the file. Equal tensors give equal files. Throws ERR_CHECKPOINT_WRITE, and ERR_INVALID_ARGUMENT for a repeated name, a sparse
// or quantised tensor, and an unknown dtype.
WrittenFile write_pth(const std::string& path, const TensorMap& tensors);

}  // namespace cellsam::weights
