// The GPUs and their driver, asked of the driver's own libraries, so that the answer is there before any libtorch is.
#pragma once

#include "engine.h"

namespace cellsam::binding {

// {cuda: "12.8", version: "570.124.06" or null, devices: [{name, memory and free (bytes, free may be null),
// computeCapability}]}; null without a driver or without a GPU. The first call starts the driver and may take some tenths of a
// second.
Value driver_info();

}  // namespace cellsam::binding
