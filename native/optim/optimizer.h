// The optimisers of training: AdamW (Loshchilov and Hutter, ICLR 2019), Muon (muon.h) beside AdamW, Adam (Kingma and Ba, ICLR
// 2015) with L2 decay, and SGD with momentum, on torch's fused and multi-tensor kernels; for groups that ask for it with LoRA
// (low_rank.h). torch's own classes do not give their state out by name, which resuming a training needs, and cannot leave out
// a step without waiting for the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "optim/parameter_group.h"

namespace cellsam::optim {

enum class Method { adamw, muon, adam, sgd };

// Reads "adamw", "muon", "adam" or "sgd"; throws ERR_INVALID_ARGUMENT otherwise.
Method parse_method(const std::string& name);

struct OptimizerOptions {
  Method method = Method::adamw;
  double beta1 = 0.9;           // of adam, of adamw and of what muon leaves to it
  double beta2 = 0.999;         // likewise
  double epsilon = 1e-8;        // likewise
  double momentum = 0.9;        // of sgd
  double muon_momentum = 0.95;  // Nesterov's
  std::uint64_t seed = 0;       // of what LoRA's factors are drawn from
};

class Optimizer {
 public:
  // Throws ERR_INVALID_ARGUMENT when a parameter occurs twice: of shared heads, give one.
  explicit Optimizer(std::vector<ParameterGroup> groups, OptimizerOptions options = {});

  // One update with the learning rate lr * lr_ratio of each group. A parameter without a gradient keeps its value and state.
  // skip: a float [] on the parameters' device; where it is 1 the update changes nothing. So a bad step is left out without
  // waiting for the device to tell whether it is bad.
  void step(double lr, const std::optional<at::Tensor>& skip = std::nullopt);

  // Releases the gradients, so that the next backward pass writes instead of adds.
  void zero_grad();

  // Name and tensor of all state: "INDEX.exp_avg", "INDEX.exp_avg_sq" and "INDEX.step", for sgd and the matrices of muon
  // "INDEX.momentum_buffer"; INDEX counts the parameters over all groups, a matrix that learns by LoRA as its factors down and
  // up, which are "lora.MATRIX.down" and "lora.MATRIX.up". The tensors are the optimiser's own.
  std::vector<std::pair<std::string, at::Tensor>> state() const;

  // Copies such a state. Throws ERR_STATE_MISMATCH, changing nothing, if a name is missing or unknown or a shape differs.
  void load_state(const std::vector<std::pair<std::string, at::Tensor>>& state);

 private:
  // Of one parameter. sgd, and matrices of muon: the first moment is the momentum buffer, the others are undefined.
  struct State {
    at::Tensor first_moment, second_moment, step;
    std::int64_t matrices = 0;  // of muon: how many the parameter stacks
  };
  // Tensors of one group that have a gradient, and one type and device, so that one kernel takes them all.
  struct Batch {
    std::vector<at::Tensor> parameters, gradients, first_moments, second_moments, steps;
  };
  // Puts the factors of LoRA in place of the group's matrices.
  void learn_factors(ParameterGroup& group, const at::Generator& generator);
  void count_step(const std::optional<at::Tensor>& skip);                             // of all parameters with a gradient
  std::vector<Batch> batches(const ParameterGroup& group, std::size_t offset) const;  // without the matrices of muon
  void step_matrices(const ParameterGroup& group, std::size_t offset, double lr, const std::optional<at::Tensor>& skip);

  std::vector<LowRankChange> low_rank_;
  std::vector<ParameterGroup> groups_;  // of what learns: with LoRA the factors
  OptimizerOptions options_;
  std::vector<State> states_;  // one for each parameter, in the order of the groups
};

}  // namespace cellsam::optim
