// The engine command that tells which options the other commands take, so that a test can compare them with the configuration.
#pragma once

#include "engine.h"

namespace cellsam::engine {

// -> {predict: names, store_writer: names}, without those that are no settings (image, path, ...). The options of a stage stand
// in the report of begin_stage.
Value option_names();

}  // namespace cellsam::engine
