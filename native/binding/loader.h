// Opens libtorch and then the engine at run time, so that binding.node itself loads on a machine without libtorch. All
// environments of the process share the engine, which stays open until the process ends.
#pragma once

#include <string>

#include "engine.h"

namespace cellsam::binding {

struct EngineFiles {
  std::string engine;    // absolute path
  std::string libtorch;  // folder that contains lib/; empty for an engine that needs no libtorch
  std::string torch;     // version (major.minor) that the engine was built for
};

// Throws ERR_LIBTORCH_NOT_FOUND, ERR_LIBTORCH_VERSION and ERR_NATIVE_LOAD. Does nothing if the same engine is loaded already.
void load_engine(const EngineFiles& files);

// Throws ERR_NATIVE_LOAD if no engine is loaded.
Engine& loaded_engine();

}  // namespace cellsam::binding
