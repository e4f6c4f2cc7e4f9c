// Ends a command early when nobody waits for its result any more.
#pragma once

#include "engine.h"

namespace cellsam {

// Throws ERR_DISPOSED when the session is being closed. Long computations call it between their parts: a process that ends must
// not wait for seconds.
void stop_if_abandoned(const Control& control);

}  // namespace cellsam
