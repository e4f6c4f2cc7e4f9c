// Weights that are cast together against those that autocast casts one by one: the same answers and gradients, bit for bit.
#include "base/cast_weights.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/linear.h>

#include "native/autocast.h"
#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::cast_weights_program {

namespace {

at::Tensor apply(const torch::nn::Linear& layer, const at::Tensor& x) {
  return at::linear(x, weight_of(layer->weight), weight_of(layer->bias));
}

// Uses the first layer twice and the third not at all. Returns the answer, then the gradients.
std::vector<at::Tensor> answers(const std::vector<torch::nn::Linear>& layers, const at::Tensor& x, bool together) {
  const Bf16Autocast autocast(true);
  std::vector<at::Tensor> parameters, found;
  for (const auto& layer : layers) {
    for (auto& parameter : layer->parameters()) {
      parameter.mutable_grad().reset();
      parameters.push_back(parameter);
    }
  }
  {
    const CastWeights cast(together ? parameters : std::vector<at::Tensor>());
    found.push_back(apply(layers[1], apply(layers[0], apply(layers[0], x)).relu()));
  }
  found[0].to(at::kFloat).square().sum().backward();
  found[0] = found[0].detach();
  for (const auto& parameter : parameters) found.push_back(parameter.grad());
  return found;
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.defined() == b.defined() && (!a.defined() || (a.scalar_type() == b.scalar_type() && a.equal(b)));
}

}  // namespace

TEST_PROGRAM(cast_weights) {
  at::manual_seed(4);
  Checks checks("cast_weights");
  const std::vector<torch::nn::Linear> layers{torch::nn::Linear(24, 24), torch::nn::Linear(24, 8), torch::nn::Linear(24, 8)};
  const auto x = at::randn({7, 24});
  const auto together = answers(layers, x, true), alone = answers(layers, x, false);
  bool equal = together.size() == alone.size();
  for (std::size_t i = 0; i < alone.size(); ++i) equal = equal && same(together[i], alone[i]);
  checks.holds("answers and gradients, bit for bit", equal && together[1].defined() && together[1].scalar_type() == at::kFloat);
  checks.holds("a layer that is not used has no gradient", !together[5].defined() && !together[6].defined());

  const auto& weight = layers[0]->weight;
  {
    const CastWeights cast({weight});
    checks.holds("a copy in bfloat16", weight_of(weight).scalar_type() == at::kBFloat16);
    checks.holds("only of what was asked for", weight_of(layers[1]->weight).is_same(layers[1]->weight));
    const at::NoGradGuard no_grad;
    const CastWeights none({layers[1]->weight});
    checks.holds("none without gradients", weight_of(layers[1]->weight).is_same(layers[1]->weight));
    checks.holds("the outer ones stay", weight_of(weight).scalar_type() == at::kBFloat16);
  }
  checks.holds("afterwards the weight itself", weight_of(weight).is_same(weight));
  return checks.finish();
}

}  // namespace cellsam::test::cast_weights_program
