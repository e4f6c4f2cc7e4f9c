#include "optim/groups.h"

#include <ATen/ATen.h>

namespace cellsam::optim {

std::vector<at::Tensor> gradients(const std::vector<Group>& groups) {
  std::vector<at::Tensor> all;
  for (const auto& group : groups) {
    for (const auto& parameter : group.parameters) {
      if (parameter.grad().defined()) all.push_back(parameter.grad());
    }
  }
  return all;
}

}  // namespace cellsam::optim
