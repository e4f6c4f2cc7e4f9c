// The optimisers of training: AdamW (Loshchilov and Hutter, ICLR 2019), Adam with L2 decay, and SGD with momentum 0.9, on
// torch's fused and multi-tensor kernels. Our own class, since the state must be readable and settable for `--resume`.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "optim/groups.h"

namespace cellsam::optim {

enum class Method { adamw, adam, sgd };

// Reads "adamw", "adam" or "sgd"; throws ERR_INVALID_ARGUMENT otherwise.
Method method_of(const std::string& name);

struct OptimizerOptions {
  Method method = Method::adamw;
  double beta1 = 0.9;  // of adamw and adam
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double momentum = 0.9;  // of sgd
};

class Optimizer {
 public:
  // Throws ERR_INVALID_ARGUMENT when a parameter occurs twice (shared heads must be given once).
  explicit Optimizer(std::vector<Group> groups, OptimizerOptions options = {});

  // One update at learning rate lr · lr_ratio of each group. A parameter without a gradient is left alone, with its state.
  // `skip`, a float [] on the parameters' device, changes nothing at all where it is 1: a bad step is left out without waiting
  // for the device to say so.
  void step(double lr, const std::optional<at::Tensor>& skip = std::nullopt);

  // Drops the gradients, so that the next backward writes instead of adds.
  void zero_grad();

  const std::vector<Group>& groups() const { return groups_; }

  // Name and tensor of every piece of state, "INDEX.exp_avg", "INDEX.exp_avg_sq" and "INDEX.step" ("INDEX.momentum_buffer" for
  // sgd); INDEX counts the parameters over all groups. The tensors are the live ones.
  std::vector<std::pair<std::string, at::Tensor>> state() const;

  // Copies such a state in. Throws ERR_STATE_MISMATCH, changing nothing, if a name is missing or unknown or a shape differs.
  void load_state(const std::vector<std::pair<std::string, at::Tensor>>& state);

 private:
  struct Slot {
    at::Tensor first, second, step;  // sgd: `first` is the momentum buffer, the others are undefined
  };
  // The tensors of one group that have a gradient and go through a kernel together (same dtype and device).
  struct Batch {
    std::vector<at::Tensor> parameters, gradients, first, second, steps;
  };
  std::vector<Batch> batches(const Group& group, std::size_t offset) const;

  std::vector<Group> groups_;
  OptimizerOptions options_;
  std::vector<Slot> slots_;  // one per parameter, in order of the groups
};

}  // namespace cellsam::optim
