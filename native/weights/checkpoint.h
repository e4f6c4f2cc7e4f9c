// The two kinds of file that a run keeps: checkpoints (weights, for people and for Python) and state files (what a stopped
// run needs to go on).
#pragma once

#include <map>
#include <string>

#include "weights/file.h"
#include "weights/tensor_map.h"

namespace cellsam::weights {

// Reads .pth or .safetensors, told apart by content, not by name. Throws what read_pth and read_safetensors throw, and
// ERR_CHECKPOINT_FORMAT for anything else; for the old non-zip .pth the message says how to re-save it.
TensorMap read_checkpoint(const std::string& path);

// Named tensors and named plain values (numbers as text) of a run that can go on.
struct StateFile {
  TensorMap tensors;
  std::map<std::string, std::string> values;
};

// One safetensors file; the values stand in its metadata, a SHA-256 covers everything.
WrittenFile write_state(const std::string& path, const TensorMap& tensors, const std::map<std::string, std::string>& values);

// Throws ERR_CHECKPOINT_READ, ERR_CHECKPOINT_CORRUPT (also when the file has no checksum), ERR_CHECKPOINT_FORMAT (a
// safetensors file that is no state file).
StateFile read_state(const std::string& path);

}  // namespace cellsam::weights
