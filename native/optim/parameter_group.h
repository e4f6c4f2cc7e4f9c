// Parameters that are optimised with one learning rate and one weight decay.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "optim/low_rank.h"

namespace cellsam::optim {

struct ParameterGroup {
  std::string name;
  std::vector<at::Tensor> parameters;  // leaves; a tensor may be in one group only, and once
  double lr_ratio = 1;                 // learning rate of the group / base learning rate
  double weight_decay = 0;
  std::vector<std::int64_t> matrices = {};  // for muon: stacked_matrices() of each parameter; empty: 0 for all
  LowRank low_rank = {};                    // with a rank, all parameters are matrices and learn by LoRA
};

}  // namespace cellsam::optim
