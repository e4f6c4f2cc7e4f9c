// Reads how pixels are prepared from the options of a command: the store's writer and every inference command call this one
// reader, so that they cannot disagree.
#pragma once

#include <map>
#include <string>

#include "base/options.h"
#include "data/normalize.h"
#include "data/tile.h"

namespace cellsam::data {

// Reads the settings of the group `pixels` (lib/settings/groups.ts); those of the stains count with stain_transform only. The
// caller calls options.done(). ERR_INVALID_ARGUMENT for a value out of range, or when two of the three channel rules (named
// channels, rgb_transform, stain_transform) are given.
PrepareOptions read_prepare_options(Options& options);

// Reads the settings of the group `tiling`, likewise.
TileOptions read_tile_options(Options& options);

// The preparation as text by option name, for the record in a store.
std::map<std::string, std::string> describe(const PrepareOptions& options);

}  // namespace cellsam::data
