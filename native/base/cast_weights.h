// Under bfloat16 autocast torch casts every weight and bias by itself, and its gradient back: four operations for each linear
// layer that a GPU has to be told of. This casts all of them in one operation, and all gradients in another.
#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>
#include <vector>

namespace cellsam {

// While it exists, `weight_of` finds the copies on this thread.
class CastWeights {
 public:
  // parameters: float32, on one device, of layers that run under bfloat16 autocast. None, or without gradients: does nothing.
  explicit CastWeights(const std::vector<at::Tensor>& parameters);
  ~CastWeights();
  CastWeights(const CastWeights&) = delete;
  CastWeights& operator=(const CastWeights&) = delete;

  using Copies = std::unordered_map<const void*, at::Tensor>;  // by the parameter's TensorImpl

 private:
  Copies copies_;
  const Copies* before_;  // of this thread
};

// The bfloat16 copy of `parameter`, through which its gradient flows; without one the parameter itself.
at::Tensor weight_of(const at::Tensor& parameter);

}  // namespace cellsam
