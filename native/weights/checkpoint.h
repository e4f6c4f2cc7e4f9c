// Checkpoints, which hold weights for users and for Python, and state files, which hold what an interrupted run needs to go on.
#pragma once

#include <map>
#include <string>

#include "weights/file.h"
#include "weights/tensor_map.h"

namespace cellsam::weights {

// Reads .pth or .safetensors, by content, not by name. Throws as read_pth and read_safetensors, and ERR_CHECKPOINT_FORMAT for
// any other file.
TensorMap read_checkpoint(const std::string& path);

// Tensors and other values (numbers as text) by name.
struct StateFile {
  TensorMap tensors;
  std::map<std::string, std::string> values;
};

// Writes a safetensors file with the values as metadata.
WrittenFile write_state(const std::string& path, const TensorMap& tensors, const std::map<std::string, std::string>& values);

// Throws ERR_CHECKPOINT_READ, ERR_CHECKPOINT_CORRUPT (also for a file without a checksum) and ERR_CHECKPOINT_FORMAT (for a
// safetensors file that is no state file).
StateFile read_state(const std::string& path);

}  // namespace cellsam::weights
