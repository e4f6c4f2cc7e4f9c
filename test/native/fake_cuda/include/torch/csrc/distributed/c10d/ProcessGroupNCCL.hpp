// torch's process group for NCCL, as far as native/cuda/nccl.cc uses it: sums on the pretend device, passed on by Gloo.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include <chrono>
#include <memory>
#include <vector>

namespace c10d {

class ProcessGroupNCCL : public c10::intrusive_ptr_target {
 public:
  struct Options : c10::intrusive_ptr_target {
    static c10::intrusive_ptr<Options> create() { return c10::make_intrusive<Options>(); }
    std::chrono::milliseconds timeout{0};
  };

  ProcessGroupNCCL(c10::intrusive_ptr<Store> store, int rank, int size, c10::intrusive_ptr<Options> options);
  ~ProcessGroupNCCL() override;

  c10::intrusive_ptr<Work> allreduce(std::vector<at::Tensor>& tensors);
  void abort();

 private:
  struct Gloo;
  std::unique_ptr<Gloo> gloo_;
};

}  // namespace c10d
