// Sums over processes that have a GPU each, by NCCL, of which libcellsam_cuda has the operators.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dist/process_group.h"

namespace cellsam::dist {

class DeviceSum {
 public:
  // Null in all processes where one of them cannot: without a GPU of its own, or without the operators. `why` says then what
  // failed, and is empty where there is nothing to tell. Collective. The group outlives this.
  static std::unique_ptr<DeviceSum> open(ProcessGroup& group, const at::Device& device, std::string& why);
  ~DeviceSum();
  DeviceSum(const DeviceSum&) = delete;
  DeviceSum& operator=(const DeviceSum&) = delete;

  // Sums each of the tensors over all processes, in place. They are dense and on the device. Collective.
  void operator()(at::TensorList tensors);

 private:
  DeviceSum(ProcessGroup& group, const at::Device& device);
  bool works();

  ProcessGroup& group_;
  const at::Device device_;
  std::int64_t nccl_ = 0;  // its address
};

}  // namespace cellsam::dist
