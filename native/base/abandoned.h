// A command that nobody waits for any more ends early.
#pragma once

#include "engine.h"

namespace cellsam {

// Throws ERR_DISPOSED when the session is being closed: the end of a process must not wait for a step of ViT-B.
void stop_if_abandoned(const Control& control);

}  // namespace cellsam
