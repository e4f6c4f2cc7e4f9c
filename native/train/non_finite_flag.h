// Remembers on a GPU whether a loss was not finite, so that no later update changes the weights, without waiting for the
// device.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::train {

class NonFiniteFlag {
 public:
  // Takes a step's losses [k] into account. Once one of them is not finite, the flag stays up.
  void add(const at::Tensor& losses);

  // f32 [] on the device: 1 when a loss was not finite, else 0. The optimiser leaves out an update where it is 1.
  at::Tensor value() const;

 private:
  at::Tensor sum_;  // of 0 * loss: 0, or NaN for ever
};

}  // namespace cellsam::train
