// Activation checkpointing (Chen et al., 2016): a part of a network that forgets what it computed and computes it once more in
// backward. Less memory for a third more work.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace cellsam::ops {

// part(x), of which only x is kept. `parameters` are the part's: their gradients arrive as without this. The second pass runs
// under the autocast of the first. Draws no random numbers, so `part` must not either. Differentiable once.
at::Tensor recompute(const std::function<at::Tensor(const at::Tensor&)>& part, const at::Tensor& x,
                     const std::vector<at::Tensor>& parameters);

}  // namespace cellsam::ops
