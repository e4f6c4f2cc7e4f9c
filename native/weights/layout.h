// Which network a checkpoint was saved from, and how its names map onto a model of ours. Loading is all or nothing: a
// checkpoint that does not fit leaves the model as it was.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine.h"
#include "weights/tensor_map.h"

namespace cellsam::weights {

// Prefix of the names of CellFinder's ViT in the state dict.
constexpr std::string_view kCellFinderBackbone = "cellfinder.decode_head.backbone.body.";

struct Layout {
  std::string name;           // "cellsam", "cellsam_adv" (with model_cp.*), "sam" (plain segment-anything)
  std::string preprocessing;  // "plain" | "adv"; "plain" for SAM
};

// Throws ERR_CHECKPOINT_FORMAT, which lists the first names, when it is none of them. A `module.` prefix (DataParallel) is
// looked through.
Layout detect_layout(const TensorMap& source);

struct Mismatch {
  std::string name;
  std::string expected;  // e.g. "float32 [768]"
  std::string found;
};

struct LoadReport {
  std::string layout;
  std::string preprocessing;
  std::int64_t loaded = 0;              // targets that were filled
  std::vector<std::string> missing;     // targets that the checkpoint has nothing for
  std::vector<std::string> unexpected;  // names of the checkpoint that no target took
  std::vector<Mismatch> mismatched;
  std::vector<std::string> warnings;  // for people: what was left out or was ambiguous
};

// The report as it crosses the border.
Dict to_dict(const LoadReport& report);

struct LoadOptions {
  // Targets whose names start with one of these may be missing from the checkpoint; they are reported all the same.
  std::vector<std::string> allow_missing_prefixes;
  // Names of the checkpoint that start with one of these (after mapping) may be left over.
  std::vector<std::string> allow_unexpected_prefixes;
};

// Copies a checkpoint into `targets` (names of the official state dict; parameters and buffers, on any device). Floating
// dtypes are converted to the target's. What matters and makes it throw ERR_CHECKPOINT_MISMATCH (first names in the message,
// all in the detail): a missing target, a wrong shape or kind of number, a left-over name under model., model_cp. or
// cellfinder. (a deeper network, or one with a second SAM). Of a plain SAM checkpoint the backbone also goes to CellFinder's
// body and everything to model_cp. where the targets have one; the detector's head is missing from it, which is allowed.
// class_embed.N and bbox_embed.N are names of one tensor each: the highest N wins, differing copies give a warning.
// ERR_CHECKPOINT_NOT_FINITE names the first tensor with NaN or infinity (also by overflow in conversion).
// On any error no target has changed.
LoadReport load_into(const TensorMap& source, const std::vector<std::pair<std::string, at::Tensor>>& targets,
                     const LoadOptions& options = {});

}  // namespace cellsam::weights
