// The GPUs and their driver, from the driver's own libraries, so that they are known before libtorch is installed.
#pragma once

#include "engine.h"

namespace cellsam::binding {

// {cuda: "12.8", version: "570.124.06" or null, devices: [{name, memory and free (bytes, free may be null),
// computeCapability}]}; null without a driver or without a GPU. The first call initialises the driver, which may take some
// tenths of a second.
Value driver_info();

}  // namespace cellsam::binding
