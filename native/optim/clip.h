// Gradient clipping by the norm over all groups together.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "optim/groups.h"

namespace cellsam::optim {

// Scales every gradient by max_norm / (norm + 1e-6), at most 1, and returns the norm before that as a zero-dimensional tensor
// on the gradients' device; no host sync. max_norm <= 0 only measures. A non-finite norm makes every gradient non-finite: look
// at the returned norm before the step. Without any gradient the norm is 0 (float32, CPU).
at::Tensor clip_gradients(const std::vector<Group>& groups, double max_norm);

}  // namespace cellsam::optim
