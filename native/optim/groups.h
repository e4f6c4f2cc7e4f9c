// A parameter group: the tensors that share a learning rate and a weight decay.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace cellsam::optim {

struct Group {
  std::string name;
  std::vector<at::Tensor> parameters;  // leaves; a tensor may occur once over all groups
  double lr_ratio = 1;                 // of the base learning rate
  double weight_decay = 0;
};

// The defined gradients of all groups, in order.
std::vector<at::Tensor> gradients(const std::vector<Group>& groups);

}  // namespace cellsam::optim
