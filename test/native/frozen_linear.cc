// A linear layer with frozen weights against its definition in float64: packed, cast or as it is, with and without GELU, before
// and after its weights change. Prints the lines that a parity program prints.
#include "ops/frozen_linear.h"

#include <torch/csrc/autograd/autograd.h>

#include "native/autocast.h"
#include "native/checks.h"
#include "native/program.h"
#include "ops/epilogues.h"
#include "ops/packed_product.h"

namespace cellsam::test::frozen_linear_program {

namespace {

at::Tensor by_definition(const torch::nn::LinearImpl& layer, const at::Tensor& x, bool gelu) {
  const auto y = at::linear(x.to(at::kDouble), layer.weight.detach().to(at::kDouble), layer.bias.detach().to(at::kDouble));
  return gelu ? 0.5 * y * (1 + at::erf(y / std::sqrt(2.0))) : y;
}

void check_layer(Checks& checks, const std::string& label, ops::FrozenLinear& frozen, torch::nn::LinearImpl& layer,
                 const at::Tensor& x, double limit) {
  for (const bool gelu : {false, true}) {
    const auto got = gelu ? frozen.forward_gelu(layer, x) : frozen.forward(layer, x);
    checks.relative(label + (gelu ? ", gelu" : ""), got, by_definition(layer, x, gelu), limit);
  }
}

void check_all(Checks& checks, const std::string& label, bool half) {
  const Bf16Autocast autocast(half);
  const double limit = half ? 0.01 : 1e-5;
  for (const auto rows : {3, 300}) {  // few are not packed
    const auto name = label + (half ? " bf16 " : " fp32 ") + std::to_string(rows) + " rows";
    torch::nn::Linear layer(40, 56);
    ops::FrozenLinear frozen;
    const auto x = at::randn({2, rows, 40});
    check_layer(checks, name + " trained", frozen, *layer, x, limit);
    for (auto& parameter : layer->parameters()) parameter.set_requires_grad(false);
    check_layer(checks, name + " frozen", frozen, *layer, x, limit);
    check_layer(checks, name + " of slices", frozen, *layer, at::randn({40, 2 * rows}).t(), limit);
    {
      at::NoGradGuard no_grad;
      layer->weight.mul_(-2), layer->bias.add_(1);
    }
    check_layer(checks, name + " written to", frozen, *layer, x, limit);
    layer->weight = at::randn({56, 40});
    check_layer(checks, name + " replaced", frozen, *layer, x, limit);
    const auto leaf = x.clone().requires_grad_(true);
    check_layer(checks, name + " inside a graph", frozen, *layer, leaf, limit);
    const auto slope = torch::autograd::grad({frozen.forward_gelu(*layer, leaf).sum()}, {leaf})[0];
    const auto wide = x.to(at::kDouble).requires_grad_(true);
    const auto sought = torch::autograd::grad({by_definition(*layer, wide, /*gelu=*/true).sum()}, {wide})[0];
    checks.relative(name + " slope", slope, sought, 2 * limit);
  }
}

// Bits must not depend on how many rows were seen first, since kept features are compared by them.
void check_order(Checks& checks) {
  torch::nn::Linear layer(64, 96);
  for (auto& parameter : layer->parameters()) parameter.set_requires_grad(false);
  ops::FrozenLinear small_first, large_first;
  const auto small = at::randn({256, 64}), large = at::randn({2048, 64});
  const auto a = small_first.forward(*layer, small), b = small_first.forward(*layer, large);
  const auto c = large_first.forward(*layer, large), d = large_first.forward(*layer, small);
  checks.holds("the same bits whatever came first", a.equal(d) && b.equal(c));
}

}  // namespace

TEST_PROGRAM(frozen_linear) {
  using namespace cellsam;
  at::manual_seed(11);
  Checks checks("frozen_linear");
  std::fprintf(stderr, "packs: %d\n", ops::can_pack(at::zeros({8, 8}), at::kFloat));
  for (const bool fused : {true, false}) {
    ops::fused_epilogues().set(fused);
    for (const bool half : {false, true}) check_all(checks, fused ? "packed" : "plain", half);
  }
  ops::fused_epilogues().set(true);
  check_order(checks);
  return checks.finish();
}

}  // namespace cellsam::test::frozen_linear_program
