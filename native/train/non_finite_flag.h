// Remembers on a GPU whether a loss was not finite, so that no later update changes the weights, without waiting for the
// device.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace cellsam::train {

class NonFiniteFlag {
 public:
  // Takes a step's losses f32 [k] into account. Once one of them is not finite, the flag stays up.
  void add(const at::Tensor& losses);

  // f32 [] on the device: 1 when a loss was not finite, else 0. The optimiser leaves out an update where it is 1. None before
  // the first losses: those of several processes are summed on the CPU and checked there.
  std::optional<at::Tensor> value() const { return found_.defined() ? std::optional(found_) : std::nullopt; }

 private:
  at::Tensor found_, one_;  // since the first losses
};

}  // namespace cellsam::train
