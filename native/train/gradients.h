// The gradients of parameters outside of one backward pass: put aside, put back, added up.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/cellsam.h"

namespace cellsam::train {

// Copies of the parameters' gradients, undefined where there is none.
std::vector<at::Tensor> copy_gradients(const model::NamedTensors& parameters);

// Makes copies of `gradients` the parameters' own; undefined ones take them away.
void restore_gradients(const model::NamedTensors& parameters, const std::vector<at::Tensor>& gradients);

// Adds to the parameters' own; undefined ones add nothing.
void add_gradients(const model::NamedTensors& parameters, const std::vector<at::Tensor>& gradients);

}  // namespace cellsam::train
