#include "engine/read_image.h"

#include "base/stop_if_abandoned.h"
#include "data/normalize.h"
#include "data/prepare_options.h"

namespace cellsam::engine {

at::Tensor read_image(Options& options) {
  const auto prepare = data::read_prepare_options(options);
  return data::prepare_image(options.require_array("image"), prepare);
}

infer::Cancelled cancelled_by(const Control& control) {
  return [&control] {
    stop_if_abandoned(control);
    return control.cancelled();
  };
}

}  // namespace cellsam::engine
