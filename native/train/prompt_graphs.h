// Runs the prompts of one image, from the image embedding to losses and gradients, as CUDA graphs. A graph repeats operations
// on the same memory, so inputs are copied to tensors that stay in place, and the number of prompts is padded to one of a few,
// each with a graph of its own. The first graphs, one with gradients and one without, have to give what the operations give.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "device/step_graph.h"
#include "model/cellsam.h"

namespace cellsam::train {

// The prompts of one image, on the device.
struct PromptInputs {
  at::Tensor embedding;  // f32 [1,C,g,g]
  at::Tensor labels;     // i32 [T,T]
  at::Tensor boxes;      // f32 [n,4] xyxy in tile pixels
  at::Tensor ids;        // i32 [n]
  at::Tensor weights;    // f32 [n]: factor of each prompt's loss
  bool ignores = false;  // whether some pixels have the label kIgnore
};

class PromptGraphs {
 public:
  // Computes losses [n,k] of the prompts, differentiable in the embedding and the trained parameters; the first is the total.
  // It must not wait for the device, and must use no tensors but those of its argument and of the model.
  using Losses = std::function<at::Tensor(const PromptInputs&)>;

  struct LossesAndGradients {
    at::Tensor losses;                   // [k]: sums over the prompts of weight * loss
    at::Tensor embedding;                // gradient of the first sum in the embedding, [1,C,g,g]
    std::vector<at::Tensor> parameters;  // its gradients in the trained parameters; undefined where it does not depend on one
  };

  // trained: the parameters whose gradients are wanted. Without a recorder the operations run one by one, with the same result.
  PromptGraphs(Losses losses, std::vector<at::Tensor> trained, std::unique_ptr<device::StepRecorder> recorder);

  // padded_count: the number of prompts to pad to, see padded_prompt_count. The result is valid until the next call of either
  // function. An error of the device clears all graphs.
  const LossesAndGradients& forward_backward(const PromptInputs& inputs, std::int64_t padded_count);
  at::Tensor forward(const PromptInputs& inputs, std::int64_t padded_count);  // losses [n,k], without gradients

  // Graphs use the weights that they were recorded with. Clears them all when one of these tensors is at another address now,
  // or when a frozen one was written to, of which the graphs may use a copy in another type.
  void clear_if_changed(const model::NamedTensors& weights);
  void clear();

  std::string take_failure();         // why graphs are not recorded any more, once, to follow "since"; else empty
  device::GraphCounts take_counts();  // since the last call

 private:
  // Side of the labels, whether they have ignored pixels, padded count, whether gradients are wanted.
  using Key = std::tuple<std::int64_t, bool, std::int64_t, bool>;

  struct Entry {
    PromptInputs inputs;  // at fixed addresses: the caller's are copied here
    LossesAndGradients result;
    at::Tensor losses;
    std::thread::id warm;  // the thread on which it ran without a graph: libraries initialise themselves for each thread
    std::unique_ptr<device::StepGraph> graph;
  };

  Entry& run(const PromptInputs& inputs, std::int64_t padded_count, bool with_gradients);
  void compute(Entry& entry, bool with_gradients);
  void record(Entry& entry, bool with_gradients);
  void give_up(Entry& entry, std::string failure);

  Losses losses_;
  std::vector<at::Tensor> trained_;
  std::unique_ptr<device::StepRecorder> recorder_;
  std::map<Key, Entry> entries_;
  std::vector<std::pair<const void*, std::uint32_t>> weights_;  // address and version of each
  bool verified_[2] = {};                                       // the first graph, without and with gradients
  std::string failure_;
  device::GraphCounts counts_;
};

// The count that n prompts are padded to: the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., so that at most a third is padding.
// Not more than `most`, unless n is.
std::int64_t padded_prompt_count(std::int64_t n, std::int64_t most);

}  // namespace cellsam::train
