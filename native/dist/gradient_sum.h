// Sums gradients over the processes that train one model together.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dist/device_sum.h"
#include "dist/process_group.h"

namespace cellsam::dist {

class GradientSum {
 public:
  static constexpr std::int64_t kBucketBytes = std::int64_t{32} << 20;  // at most, of a single sum

  // parameters: those that train, the same in all processes. The group outlives this. Collective.
  GradientSum(ProcessGroup& group, std::vector<at::Tensor> parameters);

  // Replaces each parameter's gradient with the sum over all processes, in float32. One without a gradient counts as 0, and has
  // none afterwards where no process has one. Also sums `extra`, f32 [n] on the host, in place. Collective.
  void operator()(const at::Tensor& extra);

  // Why GPUs do not sum themselves, once; empty where they do, or there are none.
  std::string take_notice() { return std::exchange(notice_, {}); }

 private:
  ProcessGroup& group_;
  std::vector<at::Tensor> parameters_;
  std::string notice_;
  std::unique_ptr<DeviceSum> on_device_;  // null: sums go through main memory
  at::Tensor row_;                        // f32, where the sums are made: the gradients of all parameters, one after another
};

}  // namespace cellsam::dist
