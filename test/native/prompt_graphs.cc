// Stage 2 with CUDA graphs: padding, tensors at fixed addresses and the order of recording change nothing, and failed
// recordings are handled. A substitute records on the CPU; test/gpu records on a GPU.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <set>

#include "native/checks.h"
#include "native/program.h"
#include "native/quiet.h"
#include "native/small_model.h"
#include "train/prompt_graphs.h"
#include "train/stage.h"

namespace cellsam::test::prompt_graphs_program {

using train::PromptGraphs;
using train::PromptInputs;

namespace {

// Calls what it "recorded" at each replay, as a GPU would repeat it.
struct StandIn final : device::StepRecorder {
  struct Graph final : device::StepGraph {
    std::function<void()> work;
    double* disturbs = nullptr;  // set to 2 meanwhile
    void replay() override {
      if (disturbs != nullptr) *disturbs = 2;
      work();
      if (disturbs != nullptr) *disturbs = 1;
    }
  };
  std::unique_ptr<device::StepGraph> record(const std::function<void()>& work) override {
    if (out_of_memory) C10_THROW_ERROR(OutOfMemoryError, "the device of this test has no more memory");
    TORCH_CHECK(!fails, "operation not permitted when stream is capturing");
    work();
    auto graph = std::make_unique<Graph>();
    graph->work = work;
    graph->disturbs = disturbs;
    return graph;
  }
  bool fails = false, out_of_memory = false;
  double* disturbs = nullptr;
};

// Losses [n,2] that depend on every input, in float64, so that a gradient of the padding would be noticed.
struct Function {
  at::Tensor parameter = at::arange(1, 5, at::kDouble).requires_grad_(true), unused = at::ones({3}, at::kDouble);
  double factor = 1;                // of the losses
  std::set<const void*> addresses;  // of its inputs
  std::vector<std::int64_t> padded_counts;

  at::Tensor operator()(const train::PromptInputs& in) {
    for (const auto& tensor : {in.embedding, in.labels, in.boxes, in.ids, in.weights})
      addresses.insert(tensor.const_data_ptr());
    padded_counts.push_back(in.ids.size(0));
    const auto prompts = in.boxes * parameter + in.ids.unsqueeze(1) + (in.ignores ? 0.5 : 0.25);
    const auto total = at::mm(prompts.sin(), in.embedding.view({4, -1})).square().sum(1) + in.labels.sum() * prompts.sum(1);
    return at::stack({total, prompts.detach().sum(1)}, 1) * factor;
  }
};

train::PromptInputs inputs_of(std::int64_t n, int seed, bool ignores = false) {
  at::manual_seed(seed);
  return {at::randn({1, 4, 2, 2}, at::kDouble), at::randint(3, {5, 5}, at::kInt), at::rand({n, 4}, at::kDouble),
          at::randint(9, {n}, at::kInt),        at::rand({n}, at::kDouble),       ignores};
}

// The same without graphs or padding.
void compare(test::Checks& checks, const std::string& name, train::PromptGraphs& graphs, Function& function,
             const train::PromptInputs& inputs, std::int64_t padded_count) {
  const auto& result = graphs.forward_backward(inputs, padded_count);
  auto plain = inputs;
  plain.embedding = inputs.embedding.clone().requires_grad_(true);
  auto reference = function;
  reference.parameter = function.parameter.detach().clone().requires_grad_(true);
  const auto losses = reference(plain);
  const auto sums = (losses * inputs.weights.unsqueeze(1)).sum(0);
  sums[0].backward();
  checks.near(name + ": losses", result.losses, sums.detach(), 1e-10);
  checks.near(name + ": gradient of the embedding", result.embedding, plain.embedding.grad(), 1e-10);
  checks.near(name + ": gradient of the parameter", result.parameters.at(0), reference.parameter.grad(), 1e-10);
  checks.holds(name + ": nothing else has one", !result.parameters.at(1).defined() && !function.parameter.grad().defined());
  checks.near(name + ": without gradients", graphs.forward(inputs, padded_count), losses.detach(), 1e-10);
}

void check_repeats(test::Checks& checks) {
  Function function;
  function.unused.requires_grad_(true);
  const auto call = [&](const train::PromptInputs& in) { return function(in); };
  train::PromptGraphs graphs(call, {function.parameter, function.unused}, std::make_unique<StandIn>());
  for (int use = 0; use < 4; ++use) {
    compare(checks, "use " + std::to_string(use), graphs, function, inputs_of(1 + use, use), 4);
  }
  const auto counts = graphs.take_counts();
  // Of four uses, with and without gradients, the first runs without a graph and the second records it.
  checks.holds("recorded at the second use", counts.recorded == 2 && counts.replayed == 6);
  checks.holds("on tensors at fixed addresses", function.addresses.size() == 2 * 5);
  checks.holds("of one size", std::ranges::all_of(function.padded_counts, [](auto padded_count) { return padded_count == 4; }));
  checks.holds("counted once", graphs.take_counts().recorded == 0);

  compare(checks, "with ignored pixels", graphs, function, inputs_of(2, 8, true), 4);
  compare(checks, "more padding", graphs, function, inputs_of(5, 9), 6);
  compare(checks, "and the first again", graphs, function, inputs_of(3, 10), 4);
  checks.holds("each at its own addresses", graphs.take_counts().recorded == 0 && function.addresses.size() == 6 * 5);

  // Weights that train are changed in place, where graphs read them.
  model::NamedTensors weights{{"trained", function.parameter}, {"frozen", at::ones({2})}};
  graphs.clear_if_changed(weights);
  compare(checks, "first with these weights", graphs, function, inputs_of(3, 11), 4);
  compare(checks, "recorded", graphs, function, inputs_of(3, 12), 4);
  {
    at::NoGradGuard no_grad;
    function.parameter.mul_(1.5);
  }
  graphs.clear_if_changed(weights);
  compare(checks, "a step later", graphs, function, inputs_of(4, 13), 4);
  checks.holds("a step later: by the same graph", graphs.take_counts().replayed == 4);
  weights[1].second.add_(1);
  graphs.clear_if_changed(weights);
  compare(checks, "frozen weights were loaded", graphs, function, inputs_of(4, 14), 4);
  checks.holds("frozen weights were loaded: no graph is left", graphs.take_counts().replayed == 0);
  compare(checks, "and again", graphs, function, inputs_of(4, 14), 4);
  weights[0].second = function.parameter.detach().clone().requires_grad_(true);
  graphs.clear_if_changed(weights);
  graphs.take_counts();
  compare(checks, "weights at other addresses", graphs, function, inputs_of(4, 15), 4);
  checks.holds("weights at other addresses: no graph is left", graphs.take_counts().replayed == 0);

  std::thread([&] { graphs.forward_backward(inputs_of(2, 1), 4); }).join();
  checks.holds("a thread that has not run it yet does not record it", graphs.take_counts().recorded == 0);
}

void check_failures(test::Checks& checks) {
  Function function;
  function.unused.requires_grad_(true);
  auto stand_in = std::make_unique<StandIn>();
  auto& recorder = *stand_in;
  const auto call = [&](const train::PromptInputs& in) { return function(in); };
  train::PromptGraphs graphs(call, {function.parameter, function.unused}, std::move(stand_in));
  for (int use = 0; use < 2; ++use) graphs.forward_backward(inputs_of(2, use), 2);
  recorder.out_of_memory = true;
  graphs.forward(inputs_of(2, 3), 2);
  bool thrown = false;
  try {
    graphs.forward(inputs_of(2, 3), 2);
  } catch (const c10::OutOfMemoryError&) {
    thrown = true;
  }
  recorder.out_of_memory = false;
  graphs.take_counts();
  graphs.forward_backward(inputs_of(2, 4), 2);
  checks.holds("out of memory is rethrown, and no graph is left", thrown && graphs.take_counts().replayed == 0);
  checks.holds("and is no reason to stop recording", graphs.take_failure().empty());
  graphs.clear();

  recorder.fails = true;
  for (int use = 0; use < 3; ++use) {
    compare(checks, "cannot be recorded, use " + std::to_string(use), graphs, function, inputs_of(2, use), 3);
  }
  checks.holds("the reason", graphs.take_failure().find("not permitted") != std::string::npos);
  checks.holds("is reported once", graphs.take_failure().empty() && graphs.take_counts().recorded == 0);
}

// A graph that gives other numbers is not used, and neither is any recorded after it.
void check_wrong_graph(test::Checks& checks, bool with_gradients) {
  Function function;
  function.unused.requires_grad_(true);
  auto stand_in = std::make_unique<StandIn>();
  stand_in->disturbs = &function.factor;
  const auto call = [&](const train::PromptInputs& in) { return function(in); };
  train::PromptGraphs graphs(call, {function.parameter, function.unused}, std::move(stand_in));
  const std::string name = with_gradients ? "a wrong graph" : "a wrong graph without gradients";
  for (int use = 0; use < 3; ++use) {
    if (!with_gradients) graphs.forward(inputs_of(2, use), 3);
    compare(checks, name + ", use " + std::to_string(use), graphs, function, inputs_of(2, use), 3);
  }
  const auto counts = graphs.take_counts();
  checks.holds(name + " is not used", counts.recorded == 0 && counts.replayed == 0);
  checks.holds(name + " is told of", graphs.take_failure().find("gave other numbers") != std::string::npos);
}

void check_rooms(test::Checks& checks) {
  const std::vector<std::int64_t> padded_counts{1, 2, 3, 4, 6, 6, 8, 8, 12, 12, 12, 12, 16, 16, 16, 16, 24};
  for (std::int64_t n = 1; n <= std::ssize(padded_counts); ++n) {
    checks.holds("padded count of " + std::to_string(n),
                 train::padded_prompt_count(n, 100) == padded_counts[static_cast<std::size_t>(n - 1)]);
  }
  checks.holds("no more than a chunk", train::padded_prompt_count(5, 5) == 5 && train::padded_prompt_count(70, 71) == 71);
  bool little = true;
  for (std::int64_t n = 1; n < 1000; ++n) {
    const auto padded_count = train::padded_prompt_count(n, 1000);
    little = little && padded_count >= n && 2 * padded_count <= 3 * n;
  }
  checks.holds("at most a third is padding", little);
}

// Tiles of 64 x 64 with the given numbers of cells.
data::Batch batch_of(const std::vector<std::int64_t>& cells, bool ignores) {
  data::Batch batch;
  std::vector<at::Tensor> labels;
  for (const auto count : cells) {
    auto map = at::zeros({64, 64}, at::kInt);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto row = i / 5 * 12 + 3, column = i % 5 * 12 + 2;
      map.slice(0, row, row + 6 + i % 3).slice(1, column, column + 7).fill_(i + 1);
    }
    if (ignores) map.slice(0, 0, 20).slice(1, 0, 5).fill_(data::kIgnore);
    batch.instances.push_back(data::find_instances(map));
    batch.indices.push_back(std::ssize(batch.indices));
    labels.push_back(map);
  }
  batch.images = at::randint(256, {std::ssize(cells), 3, 64, 64}, at::kByte);
  batch.labels = at::stack(labels);
  return batch;
}

struct Outcome {
  at::Tensor losses, gradients;  // all gradients in one row
};

// Two batches of one group: the second adds to the gradients of the first.
Outcome train_batches(const Dict& more, const std::vector<std::vector<std::int64_t>>& batches, bool ignores) {
  auto model = small_model(1);
  Options options(more, "begin_stage");
  const train::StageContext context{model, data::Preprocessing::Plain, at::kCPU, device::Precision::fp32};
  const auto stage = train::open_mask_stage(context, options);
  options.done();
  at::manual_seed(2);
  const Quiet control;
  Outcome outcome;
  std::vector<at::Tensor> losses, gradients;
  for (const auto& cells : batches) {
    const auto found = stage->train_batch(batch_of(cells, ignores), 0.5, {7, 1}, control);
    if (found) losses.push_back(*found);
  }
  for (const auto& [name, parameter] : stage->trainable()) {
    gradients.push_back((parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter)).flatten());
  }
  if (!losses.empty()) outcome.losses = at::stack(losses).to(at::kDouble);
  outcome.gradients = at::cat(gradients).to(at::kDouble);
  return outcome;
}

void check_stage(test::Checks& checks) {
  const Dict decoder{{"train_neck_only", false}, {"freeze_mask_decoder", false}, {"freeze_prompt_encoder", false}};
  const Dict mining{
      {"online_hard_negative_mining", true}, {"online_hard_negative_mining_weighted", true}, {"ohem_fraction", 0.3}};
  const auto merged = [](Dict all, const Dict& more) {
    for (const auto& [name, value] : more) all[name] = value;
    return all;
  };
  const Dict iou = merged(decoder, {{"iou_loss_weight", 0.7}});
  struct Case {
    std::string name;
    Dict options;
    bool ignores = false;
  };
  const std::vector<Case> cases{{"the neck", {}},
                                {"small chunks", {{"prompt_chunk", 5}}},
                                {"mining", merged(mining, {{"prompt_chunk", 7}})},
                                {"ignored pixels", mining, true},
                                {"the decoder and an IoU loss", iou},
                                {"everything", merged(merged(iou, mining), {{"max_prompts", 11}, {"box_jitter", 0.1}}), true},
                                {"losses without the fused kernel", {{"fused_mask_loss", false}}}};
  const std::vector<std::vector<std::int64_t>> batches{{3, 0, 17, 1}, {0, 0}, {1, 3}};
  for (const bool factored : {true, false}) {
    for (const auto& [what, options, ignores] : cases) {
      const auto name = what + (factored ? "" : ", plain decoder");
      const auto plain = merged(options, {{"factored_decoder", factored}}), graphs = merged(plain, {{"cuda_graphs", true}});
      const auto expected = train_batches(plain, batches, ignores), got = train_batches(graphs, batches, ignores);
      checks.holds(name + ": a batch without prompts is none", expected.losses.size(0) == 2 && got.losses.size(0) == 2);
      checks.near(name + ": losses", got.losses, expected.losses, 1e-5 * expected.losses.abs().max().item<double>());
      const auto distance = (got.gradients - expected.gradients).norm() / expected.gradients.norm();
      checks.near(name + ": gradients", distance.item<double>(), 0, 1e-5);
      const auto other = train_batches(graphs, {{3, 0, 17, 1}, {1, 4}}, ignores);
      checks.holds(name + ": other prompts have others",
                   ((other.gradients - expected.gradients).norm() / expected.gradients.norm()).item<double>() > 1e-2);
    }
  }
}

}  // namespace

TEST_PROGRAM(prompt_graphs) {
  Checks checks("prompt_graphs");
  at::set_num_threads(1);
  check_rooms(checks);
  check_repeats(checks);
  check_failures(checks);
  for (const bool with_gradients : {true, false}) check_wrong_graph(checks, with_gradients);
  check_stage(checks);
  return checks.finish();
}

}  // namespace cellsam::test::prompt_graphs_program
