// Finds out which network a checkpoint was saved from and loads it into a model. Loading is all or nothing: a checkpoint that
// does not fit leaves the model as it was.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine.h"
#include "weights/tensor_map.h"

namespace cellsam::weights {

struct Layout {
  std::string name;           // "cellsam", "cellsam_adv" (with model_cp.*), "sam" (plain segment-anything)
  std::string preprocessing;  // "plain" | "adv"; "plain" for SAM
};

// Ignores a `module.` prefix (DataParallel). Throws ERR_CHECKPOINT_FORMAT, which lists the first names, for any other network.
Layout detect_layout(const TensorMap& source);

struct Mismatch {
  std::string name;
  std::string expected;  // e.g. "float32 [768]"
  std::string found;
};

struct LoadReport {
  std::string layout;
  std::string preprocessing;
  std::int64_t loaded = 0;              // targets that were loaded
  std::vector<std::string> missing;     // targets that are not in the checkpoint
  std::vector<std::string> unexpected;  // names of the checkpoint that are no targets
  std::vector<Mismatch> mismatched;
  std::vector<std::string> warnings;  // messages for the user: what was left out or was ambiguous
};

// The report as it is returned to TypeScript.
Dict to_dict(const LoadReport& report);

struct LoadOptions {
  // Targets whose names start with one of these may be missing from the checkpoint. The report lists them all the same.
  std::vector<std::string> allow_missing_prefixes;
  // Names of the checkpoint that start with one of these (after mapping) need not be targets.
  std::vector<std::string> allow_unexpected_prefixes;
};

// Copies a checkpoint into `targets`: parameters and buffers on any device, by the names of the official state dict. Floating
// types are converted to the target's.
//
// Throws ERR_CHECKPOINT_MISMATCH (the first names in the message, all in the detail) for a missing target, a wrong shape or
// kind of number, and for a name under model., model_cp. or cellfinder. that is no target (of a deeper network, or one with a
// second SAM). Throws ERR_CHECKPOINT_NOT_FINITE, which names the first tensor with NaN or infinity, also when conversion
// overflows. On an error no target has changed.
//
// The backbone of a plain SAM checkpoint also goes to CellFinder's backbone, and all of it to model_cp. where there are such
// targets. CellFinder's head may be missing then. class_embed.N and bbox_embed.N name one tensor each: the highest N counts,
// and copies that differ give a warning.
LoadReport load_into(const TensorMap& source, const std::vector<std::pair<std::string, at::Tensor>>& targets,
                     const LoadOptions& options = {});

}  // namespace cellsam::weights
