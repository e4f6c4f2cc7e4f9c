// What all commands on an image begin with, and how they end early.
#pragma once

#include <ATen/core/Tensor.h>

#include "base/options.h"
#include "engine.h"
#include "infer/network.h"

namespace cellsam::engine {

// The option `image` as u8 [3,H,W], prepared exactly as the store prepares training images.
at::Tensor read_image(Options& options);

// For the places inside an inference that may end it.
infer::Cancelled cancelled_by(const Control& control);

}  // namespace cellsam::engine
