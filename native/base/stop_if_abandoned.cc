#include "base/stop_if_abandoned.h"

namespace cellsam {

void stop_if_abandoned(const Control& control) {
  if (control.abandoned()) throw Error("ERR_DISPOSED", "the session was disposed of while the command ran");
}

}  // namespace cellsam
