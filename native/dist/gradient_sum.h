// Sums gradients over the processes that train one model together.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dist/process_group.h"

namespace cellsam::dist {

class GradientSum {
 public:
  static constexpr std::int64_t kBucketBytes = std::int64_t{32} << 20;  // at most, of a single sum

  // parameters: those that train, the same in all processes. The group outlives this.
  GradientSum(ProcessGroup& group, std::vector<at::Tensor> parameters);

  // Replaces each parameter's gradient with the sum over all processes, in float32. One without a gradient counts as 0, and has
  // none afterwards where no process has one. Also sums `extra`, f32 [n] on the host, in place. Collective.
  void operator()(const at::Tensor& extra);

 private:
  ProcessGroup& group_;
  std::vector<at::Tensor> parameters_;
  at::Tensor row_;  // f32 on the host: the gradients of all parameters, one after another
};

}  // namespace cellsam::dist
