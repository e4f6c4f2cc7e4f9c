// The official names of CellSAM's state dict, and how those of other checkpoints relate to them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cellsam::weights {

// Prefix of the names of CellFinder's vision transformer in the state dict.
constexpr std::string_view kCellFinderBackbone = "cellfinder.decode_head.backbone.body.";

// The name without the prefix of DataParallel.
std::string_view without_module(std::string_view name);

// The official names, whether or not a model has them, that a name of a checkpoint stands for: of CellSAM itself, of plain SAM
// those of SAM, of its copy model_cp and, for the backbone, of CellFinder's.
std::vector<std::string> official_names(std::string_view name, bool plain_sam);

// A name of one of the detector's prediction heads, which all decoder layers share.
struct TiedName {
  std::string group;  // the name with * for the layer
  int layer = 0;
};
std::optional<TiedName> tied_name(std::string_view name);

}  // namespace cellsam::weights
