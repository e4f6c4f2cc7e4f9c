// Finds the layer and the operation in which a computation first makes NaN or infinity. It inspects the numbers of every
// operation, so a trainer repeats a batch under it only after a loss or a gradient has come out as not finite.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>

#include "model/named_tensors.h"

namespace cellsam::train {

struct NonFiniteOrigin {
  // The module whose parameter was used last, by its name in the state dict, such as "cellfinder.decode_head.input_proj.0.0".
  // Operations without a parameter (a softmax, a loss) count to the module before them. Empty before the first module.
  std::string layer;
  std::string operation;  // torch's name, such as "linear"; "weights" when a parameter itself is not finite
  bool backward = false;  // whether it is a gradient
};

// Inspects the operations of this thread, and of autograd's threads that work for it, while it exists.
class NonFiniteTrace {
 public:
  explicit NonFiniteTrace(const model::NamedTensors& parameters);
  ~NonFiniteTrace();
  NonFiniteTrace(const NonFiniteTrace&) = delete;
  NonFiniteTrace& operator=(const NonFiniteTrace&) = delete;

  // The first operation that made NaN or infinity of finite numbers, if there was one.
  std::optional<NonFiniteOrigin> origin() const;

  // Whether a trace of this thread exists. It sees torch's operations and recognises layers by their parameters: fast paths
  // that use neither must not be taken then.
  static bool active();

 private:
  struct Watch;
  std::unique_ptr<Watch> watch_;
};

}  // namespace cellsam::train
