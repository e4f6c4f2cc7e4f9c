// Reads how pixels are prepared from the options of a command: the store's writer and every inference command call this one
// reader, so that they cannot disagree.
#pragma once

#include <map>
#include <string>

#include "base/options.h"
#include "data/normalize.h"

namespace cellsam::data {

// normalize = true, intensity = "percentile" | "full", grey_channel = "blue" | "all", nuclear_channel and whole_cell_channel =
// "red" | "green" | "blue" (absent: off), rgb_transform = false, stain_transform = false and, read with it only, inversion =
// false, eosin = 0, dab = 1, only_nuclei = false, gamma = 2.1. The caller calls options.done(). ERR_INVALID_ARGUMENT for a
// value out of range, or when two of the three channel rules (named channels, rgb_transform, stain_transform) are given.
PrepareOptions read_prepare_options(Options& options);

// The same as text by option name, for the record in a store.
std::map<std::string, std::string> describe(const PrepareOptions& options);

}  // namespace cellsam::data
