// Opens libtorch and then the engine at run time, which is what lets binding.node load on a machine without libtorch. The
// engine is shared by all environments of the process and stays until its end.
#pragma once

#include <string>

#include "engine.h"

namespace cellsam::binding {

struct EngineFiles {
  std::string engine;    // absolute path of the engine
  std::string libtorch;  // folder with lib/ in it; empty for an engine that needs no libtorch
  std::string torch;     // major.minor that the engine was built for
};

// Errors: ERR_LIBTORCH_NOT_FOUND, ERR_LIBTORCH_VERSION, ERR_NATIVE_LOAD. Loading the same engine again does nothing.
void load_engine(const EngineFiles& files);

// ERR_NATIVE_LOAD before load_engine().
Engine& loaded_engine();

}  // namespace cellsam::binding
