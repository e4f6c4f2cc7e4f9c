// A table: a tensor that depends on sizes alone. Made at first use, and kept by the module that needs it.
#pragma once

#include <ATen/core/Tensor.h>

#include <mutex>
#include <vector>

namespace cellsam {

class KeptTensor {
 public:
  // What `make` returned for this type, device and `key`. Another key takes the place of the one before. From any thread.
  template <class Make>
  at::Tensor get(at::TensorOptions options, std::vector<std::int64_t> key, Make make) {
    const std::lock_guard lock(mutex_);
    const auto device = options.device();
    const auto type = options.dtype().toScalarType();
    if (!tensor_.defined() || tensor_.device() != device || tensor_.scalar_type() != type || key_ != key) {
      tensor_ = make();
      key_ = std::move(key);
    }
    return tensor_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::int64_t> key_;
  at::Tensor tensor_;
};

}  // namespace cellsam
