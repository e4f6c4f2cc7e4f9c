#include "train/prompt_graphs.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <utility>

#include "device/device.h"

namespace cellsam::train {
namespace {

// With and without ignored pixels, with and without gradients, and every padded count of chunks of up to 512 prompts.
constexpr std::size_t kMostGraphs = 2 * 2 * 18;

PromptInputs inputs_like(const PromptInputs& inputs, std::int64_t padded_count) {
  const auto rows = [&](const at::Tensor& like) {
    auto sizes = like.sizes().vec();
    sizes[0] = padded_count;
    return at::empty(sizes, like.options());
  };
  return {at::empty_like(inputs.embedding),
          at::empty_like(inputs.labels),
          rows(inputs.boxes),
          rows(inputs.ids),
          rows(inputs.weights),
          inputs.ignores};
}

// The padding repeats the first prompt, whose losses are finite if all are, with a weight of 0.
void fill(const PromptInputs& to, const PromptInputs& from) {
  to.embedding.copy_(from.embedding);
  to.labels.copy_(from.labels);
  const auto n = from.ids.size(0), rest = to.ids.size(0) - n;
  const auto rows = [&](const at::Tensor& target, const at::Tensor& source) {
    target.narrow(0, 0, n).copy_(source);
    if (rest > 0) target.narrow(0, n, rest).copy_(source.narrow(0, 0, 1).expand_as(target.narrow(0, n, rest)));
  };
  rows(to.boxes, from.boxes);
  rows(to.ids, from.ids);
  rows(to.weights, from.weights);
  if (rest > 0) to.weights.narrow(0, n, rest).zero_();
}

// All that is computed, in an order that is always the same.
std::vector<at::Tensor> results_of(const at::Tensor& losses, const PromptGraphs::LossesAndGradients& result, bool gradients) {
  if (!gradients) return {losses};
  std::vector<at::Tensor> all{result.losses, result.embedding};
  for (const auto& tensor : result.parameters) {
    if (tensor.defined()) all.push_back(tensor);
  }
  return all;
}

// A graph runs the same kernels, but some of them add up in any order, and rounding to bfloat16 makes more of it. What was
// recorded wrongly reads or writes other memory, and is off by as much as the numbers themselves.
constexpr double kNear = 0.05;

bool agree(const std::vector<at::Tensor>& graph, const std::vector<at::Tensor>& plain) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> distances, norms;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    distances.push_back((graph[i] - plain[i]).norm());
    norms.push_back(plain[i].norm());
  }
  return (at::stack(distances) <= kNear * at::stack(norms)).all().item<bool>();
}

}  // namespace

PromptGraphs::PromptGraphs(Losses losses, std::vector<at::Tensor> trained, std::unique_ptr<device::StepRecorder> recorder)
    : losses_(std::move(losses)), trained_(std::move(trained)), recorder_(std::move(recorder)) {}

const PromptGraphs::LossesAndGradients& PromptGraphs::forward_backward(const PromptInputs& inputs, std::int64_t padded_count) {
  return run(inputs, padded_count, /*with_gradients=*/true).result;
}

at::Tensor PromptGraphs::forward(const PromptInputs& inputs, std::int64_t padded_count) {
  // A copy, since the next replay may write to the same memory.
  return run(inputs, padded_count, /*with_gradients=*/false).losses.narrow(0, 0, inputs.ids.size(0)).clone();
}

PromptGraphs::Entry& PromptGraphs::run(const PromptInputs& inputs, std::int64_t padded_count, bool with_gradients) {
  try {
    const Key key{inputs.labels.size(0), inputs.ignores, padded_count, with_gradients};
    if (entries_.size() >= kMostGraphs && !entries_.contains(key)) clear();
    auto& entry = entries_[key];
    {
      at::NoGradGuard no_grad;
      if (!entry.inputs.ids.defined()) entry.inputs = inputs_like(inputs, padded_count);
      fill(entry.inputs, inputs);
    }
    const auto here = std::this_thread::get_id();
    if (!entry.graph && recorder_ && entry.warm == here) record(entry, with_gradients);
    if (entry.graph) {
      entry.graph->replay();
      ++counts_.replayed;
    } else {
      compute(entry, with_gradients);
      entry.warm = here;
    }
    return entry;
  } catch (const c10::Error&) {
    clear();
    throw;
  }
}

void PromptGraphs::record(Entry& entry, bool with_gradients) {
  const auto results = [&] { return results_of(entry.losses, entry.result, with_gradients); };
  auto& verified = verified_[with_gradients ? 1 : 0];
  std::vector<at::Tensor> plain;
  if (!verified) {
    compute(entry, with_gradients);
    plain = results();
  }
  try {
    entry.graph = recorder_->record([this, &entry, with_gradients] { compute(entry, with_gradients); });
  } catch (const c10::Error& error) {
    if (device::is_out_of_memory(error)) throw;
    // Some operation cannot be recorded, for example as it waits for the device. Other errors occur without a graph too.
    return give_up(entry, std::string("they could not be recorded: ") + error.what_without_backtrace());
  }
  if (!verified) {
    entry.graph->replay();
    if (!agree(results(), plain)) return give_up(entry, "a recorded graph gave other numbers than the operations themselves");
    verified = true;
  }
  ++counts_.recorded;
}

void PromptGraphs::give_up(Entry& entry, std::string failure) {
  entry.graph.reset();
  recorder_.reset();
  failure_ = std::move(failure);
}

void PromptGraphs::compute(Entry& entry, bool with_gradients) {
  const at::AutoGradMode grad_mode(with_gradients);
  auto inputs = entry.inputs;
  if (!with_gradients) {
    entry.losses = losses_(inputs);
    return;
  }
  inputs.embedding = inputs.embedding.detach().requires_grad_(true);
  const auto sums = (losses_(inputs) * inputs.weights.unsqueeze(1)).sum(0);
  torch::autograd::variable_list wanted{inputs.embedding};
  wanted.insert(wanted.end(), trained_.begin(), trained_.end());
  // Not backward(), which writes to the gradients of parameters: these are
  // released between replays, but a graph needs memory that stays.
  auto gradients = torch::autograd::grad({sums[0]}, wanted, /*grad_outputs=*/{}, /*retain_graph=*/std::nullopt,
                                         /*create_graph=*/false, /*allow_unused=*/true);
  entry.result.losses = sums.detach();
  entry.result.embedding = std::move(gradients[0]);
  entry.result.parameters.assign(std::make_move_iterator(gradients.begin() + 1), std::make_move_iterator(gradients.end()));
}

void PromptGraphs::clear_if_changed(const model::NamedTensors& weights) {
  std::vector<std::pair<const void*, std::uint32_t>> now;
  for (const auto& [name, tensor] : weights) {
    now.emplace_back(tensor.const_data_ptr(), tensor.requires_grad() ? 0 : tensor._version());
  }
  if (now == weights_) return;
  clear();
  weights_ = std::move(now);
}

void PromptGraphs::clear() { entries_.clear(); }

std::string PromptGraphs::take_failure() { return std::exchange(failure_, {}); }

device::GraphCounts PromptGraphs::take_counts() { return std::exchange(counts_, {}); }

std::int64_t padded_prompt_count(std::int64_t n, std::int64_t most) {
  std::int64_t padded_count = 1;
  while (padded_count < n) padded_count *= 2;
  if (padded_count >= 4 && n <= padded_count / 4 * 3) padded_count = padded_count / 4 * 3;
  return std::max(n, std::min(padded_count, most));
}

}  // namespace cellsam::train
