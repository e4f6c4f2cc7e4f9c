#include "train/non_finite_flag.h"

#include <ATen/ATen.h>

namespace cellsam::train {

void NonFiniteFlag::add(const at::Tensor& losses) {
  if (!found_.defined()) {
    found_ = at::zeros({}, losses.options());
    one_ = at::ones({}, losses.options());
  }
  // What mixed precision does with gradients, which it divides by their scale, here 1: a single operation.
  at::_amp_foreach_non_finite_check_and_unscale_(losses, found_, one_);
}

}  // namespace cellsam::train
