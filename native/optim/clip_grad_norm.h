// Gradient clipping by the norm over all parameters.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "optim/parameter_group.h"

namespace cellsam::optim {

// As torch.nn.utils.clip_grad_norm_: divides every gradient by max(1, (norm + 1e-6) / max_norm)
// and returns the norm before that, as a tensor [] on the gradients' device, without waiting for
// it. max_norm <= 0: only measures. A norm that is not finite makes every gradient so too: look at
// the returned norm before a step. Without any gradient the norm is 0 (float32, CPU).
at::Tensor clip_grad_norm(const std::vector<ParameterGroup>& groups, double max_norm);

}  // namespace cellsam::optim
