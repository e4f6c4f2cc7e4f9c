// Where a computation stops being finite: the trace names layer, operation and direction, and is silent about healthy networks;
// and an optimiser step that is told to be skipped changes nothing.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "model/cellsam.h"
#include "native/checks.h"
#include "native/program.h"
#include "optim/optimizer.h"
#include "train/non_finite.h"
#include "train/non_finite_flag.h"

namespace cellsam::test::non_finite_program {

using train::NonFiniteTrace;

namespace {

at::Tensor parameter(const model::NamedTensors& all, const std::string& name) {
  for (const auto& [own, tensor] : all) {
    if (own == name) return tensor;
  }
  throw std::runtime_error("no parameter " + name);
}

void step(model::CellSam& network) {
  at::AutoGradMode with_grad(true);
  const auto size = network->size().image_size;
  const auto image = at::ones({1, 3, size, size}) * 0.1;
  const auto found = network->cellfinder->forward(image);
  auto& sam = network->mask_model();
  const auto prompt = sam->prompt_encoder->forward(std::nullopt, std::nullopt,
                                                   at::tensor({4.0F, 4.0F, 30.0F, 30.0F}).view({1, 4}), std::nullopt);
  const auto masks = sam->mask_decoder->forward(sam->image_encoder->forward(image), sam->prompt_encoder->dense_pe(),
                                                prompt.sparse, prompt.dense, false);
  (found.boxes[-1].sum() + found.logits[-1].sum() + masks.logits.sum()).backward();
}

}  // namespace

TEST_PROGRAM(non_finite) {
  Checks checks("non_finite");
  at::manual_seed(1);
  model::CellSam network(model::model_size("tiny"), false);
  const auto all = network->unique_parameters();
  {
    train::NonFiniteTrace trace(all);
    step(network);
    checks.holds("a healthy network: nothing is reported, forward and backward", !trace.origin());
  }
  const auto plant = [&](const std::string& name, float value) {
    at::NoGradGuard no_grad;
    auto weight = parameter(all, name);
    const auto before = weight.clone();
    weight.view(-1)[0] = value;
    train::NonFiniteTrace trace(all);
    {
      at::AutoGradMode with_grad(true);
      step(network);
    }
    weight.copy_(before);
    return trace.origin();
  };
  const auto infinite = plant("model.image_encoder.neck.0.weight", std::numeric_limits<float>::infinity());
  checks.holds("a weight that is not finite is named itself",
               infinite && infinite->layer == "model.image_encoder.neck.0.weight" && infinite->operation == "weights");
  {
    // The largest finite number in every weight: the first sum of two of them is infinite, in this layer and nowhere before.
    at::NoGradGuard no_grad;
    for (const std::string layer : {"model.image_encoder.neck.2", "cellfinder.decode_head.input_proj.0.0"}) {
      auto weight = parameter(all, layer + ".weight");
      const auto before = weight.clone();
      weight.fill_(std::numeric_limits<float>::max());
      train::NonFiniteTrace trace(all);
      {
        at::AutoGradMode with_grad(true);
        step(network);
      }
      const auto origin = trace.origin();
      weight.copy_(before);
      checks.holds(("an overflow in " + layer).c_str(), origin && origin->layer == layer && !origin->backward);
    }
  }
  {
    at::AutoGradMode with_grad(true);
    const auto weight = at::zeros({3}).requires_grad_(true);
    train::NonFiniteTrace trace({{"root.scale", weight}});
    weight.sqrt().sum().backward();
    const auto origin = trace.origin();
    checks.holds("a gradient that is not finite, of a loss that is", origin && origin->backward && origin->layer == "root");
  }
  {
    train::NonFiniteTrace trace({});
    at::empty({1000}).fill_(1).add_(1);
    const auto bottom = at::full({2}, -std::numeric_limits<float>::infinity());
    checks.holds("memory as it was found and infinities that are meant are no origin", !trace.origin() && bottom.numel() == 2);
  }
  {
    train::NonFiniteFlag flag;
    checks.holds("without losses on a device nothing stops an update", !flag.value());
    flag.add(at::tensor({3e38F, -3e38F, 3e38F}));
    checks.near("finite losses of any size leave updates alone", *flag.value(), at::zeros({}), 0);
    for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
      train::NonFiniteFlag raised;
      raised.add(at::ones({3}));
      raised.add(at::tensor({1.0F, bad}));
      checks.near("a bad loss stops the update", *raised.value(), at::ones({}), 0);
      raised.add(at::ones({3}));
      checks.near("and those of the steps after it", *raised.value(), at::ones({}), 0);
    }
  }
  for (const auto method : {optim::Method::adamw, optim::Method::adam, optim::Method::sgd}) {
    at::manual_seed(3);
    const auto start = at::rand({7});
    const auto slope = at::rand({7});
    const auto train = [&](const std::vector<std::optional<float>>& skips) {
      auto weight = start.clone().requires_grad_(true);
      optim::Optimizer optimizer({{"all", {weight}, 1.0, 0.01}}, {.method = method});
      for (const auto& skip : skips) {
        weight.mutable_grad() = skip == 1.0F ? slope * std::numeric_limits<float>::quiet_NaN() : slope.clone();
        optimizer.step(0.1, skip ? std::optional(at::scalar_tensor(*skip)) : std::nullopt);
      }
      std::vector<at::Tensor> left{weight.detach()};
      for (const auto& [name, tensor] : optimizer.state()) left.push_back(tensor);
      return left;
    };
    const auto same = [](const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (!at::allclose(a[i], b[i], 1e-6, 0)) return false;
      }
      return true;
    };
    const auto name = std::to_string(static_cast<int>(method));
    checks.holds(("a skipped step leaves weights and state alone, method " + name).c_str(),
                 same(train({std::nullopt, 1.0F, std::nullopt}), train({std::nullopt, std::nullopt})));
    checks.holds(("a step that may be skipped and is not equals a plain one, method " + name).c_str(),
                 same(train({0.0F, 0.0F}), train({std::nullopt, std::nullopt})));
  }
  return checks.finish();
}

}  // namespace cellsam::test::non_finite_program
