// The safetensors format (github.com/huggingface/safetensors): 8 bytes of header length, a JSON header, the tensors' bytes.
// The reader trusts nothing in the header. The writer adds a SHA-256 over the whole file to the metadata, because the
// format has no checksum of its own; the reader checks it where it is present.
#pragma once

#include <map>
#include <string>

#include "weights/file.h"
#include "weights/tensor_map.h"

namespace cellsam::weights {

using Metadata = std::map<std::string, std::string>;

struct Safetensors {
  TensorMap tensors;     // in the order of their bytes in the file
  Metadata metadata;     // without what the writer adds
  bool checked = false;  // a checksum was present, and it fits
};

// Throws ERR_CHECKPOINT_READ, ERR_CHECKPOINT_CORRUPT.
Safetensors read_safetensors(const std::string& path);

// Writes atomically. The format knows no shared storages: every name gets its own bytes. Throws ERR_CHECKPOINT_WRITE,
// ERR_INVALID_ARGUMENT (repeated or reserved name, sparse or quantised tensor, unknown dtype).
WrittenFile write_safetensors(const std::string& path, const TensorMap& tensors, const Metadata& metadata = {});

}  // namespace cellsam::weights
