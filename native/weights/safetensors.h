// The safetensors format (github.com/huggingface/safetensors): 8 bytes of header length, a JSON header, and the tensors. The
// reader trusts nothing in the header. The format has no checksum, so the writer adds a SHA-256 of the whole file to the
// metadata, which the reader verifies where it is present.
#pragma once

#include <map>
#include <string>

#include "weights/file.h"
#include "weights/tensor_map.h"

namespace cellsam::weights {

using Metadata = std::map<std::string, std::string>;

struct Safetensors {
  TensorMap tensors;     // in the order of their bytes in the file
  Metadata metadata;     // without the entries that the writer adds
  bool checked = false;  // whether there is a checksum (a wrong one is an error)
};

// Throws ERR_CHECKPOINT_READ, ERR_CHECKPOINT_CORRUPT.
Safetensors read_safetensors(const std::string& path);

// Writes atomically. The format has no shared storages: a tensor is written under
// each of its names. Throws ERR_CHECKPOINT_WRITE, and ERR_INVALID_ARGUMENT for a
// repeated or reserved name, a sparse or quantised tensor, and an unknown dtype.
WrittenFile write_safetensors(const std::string& path, const TensorMap& tensors, const Metadata& metadata = {});

}  // namespace cellsam::weights
