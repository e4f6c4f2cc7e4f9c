// How names of the known layouts relate to the official names of CellSAM's state dict. For loading only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weights/layout.h"

namespace cellsam::weights {

// The name without DataParallel's prefix.
std::string_view without_module(std::string_view name);

// The official names that a name of the checkpoint stands for: itself; for plain SAM those of SAM, its copy and CellFinder's
// body, whether or not a model has them.
std::vector<std::string> target_names(const Layout& layout, std::string_view name);

// A name of one of the detector's prediction heads, which all decoder layers share.
struct TiedName {
  std::string group;  // with * for the layer
  int layer = 0;
};
std::optional<TiedName> tied_name(std::string_view name);

}  // namespace cellsam::weights
