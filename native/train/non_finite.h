// Finds where a computation stops being finite: the layer of the network and the operation in it. Costs a look at every
// operation's numbers, so a trainer repeats a batch under it only after a loss or a gradient has come out as NaN or infinity.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>

#include "model/named_tensors.h"

namespace cellsam::train {

struct NonFiniteOrigin {
  // The module whose parameter was used last, by its name in the state dict: "cellfinder.decode_head.input_proj.0.0".
  // Operations without a parameter, a softmax or a loss, belong to the module before them. Empty before the first.
  std::string layer;
  std::string operation;  // torch's name of it, "linear"; "weights" when a parameter itself is not finite
  bool backward = false;  // a gradient, not an output
};

// Watches the operations of this thread (and of autograd's threads that work for it) while it exists.
class NonFiniteTrace {
 public:
  explicit NonFiniteTrace(const model::NamedTensors& parameters);
  ~NonFiniteTrace();
  NonFiniteTrace(const NonFiniteTrace&) = delete;
  NonFiniteTrace& operator=(const NonFiniteTrace&) = delete;

  // The first operation that made NaN or infinity out of finite numbers; nothing when there was none.
  std::optional<NonFiniteOrigin> origin() const;

  // Whether one watches this thread. It knows layers by their parameters and torch's operations: code with a faster way that
  // uses neither takes the plain one then.
  static bool active();

 private:
  struct Watch;
  std::unique_ptr<Watch> watch_;
};

}  // namespace cellsam::train
