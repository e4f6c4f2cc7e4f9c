// What stage 2 does with the prompts of one image, from the image's embedding to its losses and gradients, as a function of
// tensors that stay where they are: what a CUDA graph can repeat. Prompts are padded to a few counts, with one graph for each.
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

// Prompts of one image, on the device.
struct PromptInputs {
  at::Tensor embedding;  // f32 [1,C,g,g]
  at::Tensor labels;     // i32 [T,T]
  at::Tensor boxes;      // f32 [n,4] xyxy in tile pixels
  at::Tensor ids;        // i32 [n]
  at::Tensor weights;    // f32 [n]: how much of each prompt's loss counts
  bool ignores = false;  // labels holds pixels to leave out
};

class PromptGraphs {
 public:
  // Losses [n,k] of the prompts, differentiable in the embedding and the trained parameters; the first is the one to learn
  // from. It must ask nothing of the device and take no numbers but those of its argument and of the model from the host.
  using Losses = std::function<at::Tensor(const PromptInputs&)>;

  struct LossesAndGradients {
    at::Tensor losses;                   // [k]: the sums over the prompts of weight * loss
    at::Tensor embedding;                // gradient of the first of them, [1,C,g,g]
    std::vector<at::Tensor> parameters;  // its gradients in the trained parameters; undefined where it does not depend on one
  };

  // trained: parameters whose gradients are wanted. Without a recorder everything is the same but done operation by operation.
  PromptGraphs(Losses losses, std::vector<at::Tensor> trained, std::unique_ptr<device::StepRecorder> recorder);

  // `padded_count`: how many prompts to pad to. The answer holds until the next call of either. An error of the device leaves
  // no graph.
  const LossesAndGradients& forward_backward(const PromptInputs& inputs, std::int64_t padded_count);
  at::Tensor forward(const PromptInputs& inputs, std::int64_t padded_count);  // [n,k], without gradients

  // Graphs hold on to the weights that they were recorded with: forgets them all when one of these tensors lies elsewhere now,
  // or when one that does not train was written to, of which there may be a copy in another type.
  void clear_if_changed(const model::NamedTensors& weights);
  void clear();

  std::string take_failure();         // why no more graphs are recorded, once; empty when they are
  device::GraphCounts take_counts();  // since the last call

 private:
  // Side and pixels to ignore of the labels, padded count, and whether gradients are wanted.
  using Key = std::tuple<std::int64_t, bool, std::int64_t, bool>;

  struct Entry {
    PromptInputs inputs;  // all that changes from one use to the next is copied here
    LossesAndGradients result;
    at::Tensor losses;
    std::thread::id warm;  // where it has run without a graph: libraries prepare themselves for each thread
    std::unique_ptr<device::StepGraph> graph;
  };

  Entry& run(const PromptInputs& inputs, std::int64_t padded_count, bool with_gradients);
  void work(Entry& entry, bool with_gradients);
  void record(Entry& entry, bool with_gradients);

  Losses losses_;
  std::vector<at::Tensor> trained_;
  std::unique_ptr<device::StepRecorder> recorder_;
  std::map<Key, Entry> entries_;
  std::vector<std::pair<const void*, std::uint32_t>> weights_;  // where they lie, and in which version
  std::string failure_;
  device::GraphCounts counts_;
};

// Counts to which prompts are padded: the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., so that padding is a third at most; no
// more than `most`, but n always.
std::int64_t padded_prompt_count(std::int64_t n, std::int64_t most);

}  // namespace cellsam::train
