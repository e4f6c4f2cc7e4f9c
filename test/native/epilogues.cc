// Residual sums, layer norms and GELU of a transformer block against torch's own operations in float64: values and the
// gradients of all that goes in, in float32 and bfloat16, fused and not. Prints the lines that a parity program prints.
#include "ops/epilogues.h"
#include "ops/gelu_linear.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include "native/autocast.h"
#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::epilogues_program {

namespace {

at::Tensor wide(const at::Tensor& x) { return x.detach().to(at::kDouble).requires_grad_(x.requires_grad()); }

// Values and gradients of `way`, a function of its inputs, against those of `definition` in float64.
using Function = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;
void compare(Checks& checks, const std::string& name, const std::vector<at::Tensor>& inputs, const Function& way,
             const Function& definition, double limit) {
  std::vector<at::Tensor> wide_inputs, slopes, wide_slopes;
  for (const auto& input : inputs) wide_inputs.push_back(wide(input));
  const auto got = way(inputs), expected = definition(wide_inputs);
  for (std::size_t i = 0; i < got.size(); ++i) {
    checks.relative(name + " value " + std::to_string(i), got[i], expected[i].detach(), limit);
    slopes.push_back(at::randn_like(got[i]));
    wide_slopes.push_back(slopes[i].to(at::kDouble));
  }
  const auto found = torch::autograd::grad(got, inputs, slopes);
  const auto sought = torch::autograd::grad(expected, wide_inputs, wide_slopes);
  for (std::size_t i = 0; i < found.size(); ++i) {
    checks.relative(name + " slope " + std::to_string(i), found[i], sought[i], limit);
  }
}

// Whose parameters are the tensors given.
torch::nn::LayerNorm norm_with(const at::Tensor& weight, const at::Tensor& bias) {
  torch::nn::LayerNorm norm(torch::nn::LayerNormOptions({weight.size(0)}).eps(1e-6));
  norm->weight = weight, norm->bias = bias;
  return norm;
}

at::Tensor defined_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto centred = x - x.mean(-1, true);
  return centred / (centred.square().mean(-1, true) + 1e-6).sqrt() * weight + bias;
}

void check_norms(Checks& checks, const std::string& label, std::int64_t width, at::ScalarType delta_type, bool half) {
  const Bf16Autocast autocast(half);
  const auto draw = [&](at::IntArrayRef shape, at::ScalarType type) {
    return (at::randn(shape) * 2 + 0.5).to(type).requires_grad_(true);
  };
  const std::vector<at::Tensor> inputs = {draw({2, 5, 13, width}, at::kFloat), draw({2, 5, 13, width}, delta_type),
                                          draw({width}, at::kFloat), draw({width}, at::kFloat)};
  const bool rounds = half || delta_type == at::kBFloat16;
  const double limit = rounds ? 0.01 : 2e-6;
  compare(
      checks, label + " add_norm", inputs,
      [](const auto& in) {
        const auto [sum, norm] = ops::add_norm(in[0], in[1], *norm_with(in[2], in[3]));
        return std::vector{sum, norm};
      },
      [](const auto& in) {
        return std::vector{in[0] + in[1], defined_norm(in[0] + in[1], in[2], in[3])};
      },
      limit);
  compare(
      checks, label + " norm_of_sum", inputs,
      [](const auto& in) { return std::vector{ops::norm_of_sum(in[0], in[1], *norm_with(in[2], in[3]))}; },
      [](const auto& in) { return std::vector{defined_norm(in[0] + in[1], in[2], in[3])}; }, limit);
  compare(
      checks, label + " norm_of", {inputs[0], inputs[2], inputs[3]},
      [](const auto& in) { return std::vector{ops::norm_of(in[0], *norm_with(in[1], in[2]))}; },
      [](const auto& in) { return std::vector{defined_norm(in[0], in[1], in[2])}; }, limit);
  compare(
      checks, label + " sum_of", {inputs[0], inputs[1]}, [](const auto& in) { return std::vector{ops::sum_of(in[0], in[1])}; },
      [](const auto& in) { return std::vector{in[0] + in[1]}; }, limit);
  const auto normed = ops::norm_of(inputs[0], *norm_with(inputs[2], inputs[3]));
  if (ops::fused_epilogues().on()) {
    checks.holds(label + " gives linear layers their type", normed.scalar_type() == (half ? at::kBFloat16 : at::kFloat));
  }
  checks.holds(label + " keeps the stream's type",
               ops::norm_of_sum(inputs[0], inputs[1], *norm_with(inputs[2], inputs[3])).scalar_type() == at::kFloat);
}

void check_gelu(Checks& checks, const std::string& label, bool half) {
  const Bf16Autocast autocast(half);
  const auto x = (at::randn({3, 7, 24}) * 2).to(half ? at::kBFloat16 : at::kFloat).requires_grad_(true);
  torch::nn::Linear layer(24, 10);
  compare(
      checks, label + " gelu_linear", {x, layer->weight, layer->bias},
      [&](const auto& in) {
        ops::FrozenLinear cast;
        return std::vector{ops::gelu_linear(in[0], *layer, cast)};
      },
      [](const auto& in) {
        const auto gelu = 0.5 * in[0] * (1 + at::erf(in[0] / std::sqrt(2.0)));
        return std::vector{at::linear(gelu, in[1], in[2])};
      },
      half ? 0.02 : 2e-6);
}

// Gradients of weights are summed in an order of their own.
void check_threads(Checks& checks) {
  const auto before = at::get_num_threads();
  const auto x = at::randn({1, 40, 40, 48}).requires_grad_(true), delta = at::randn({1, 40, 40, 48});
  auto norm = norm_with(at::randn({48}).requires_grad_(true), at::randn({48}).requires_grad_(true));
  const auto slope = at::randn({1, 40, 40, 48});
  const auto answers = [&](int threads) {
    at::set_num_threads(threads);
    return torch::autograd::grad({ops::norm_of_sum(x, delta, *norm)}, {x, norm->weight, norm->bias}, {slope});
  };
  const auto one = answers(1), four = answers(4);
  for (std::size_t i = 0; i < one.size(); ++i) {
    checks.holds("the same bits with 1 and 4 threads, " + std::to_string(i), one[i].equal(four[i]));
  }
  at::set_num_threads(before);
}

// Frozen parameters get no gradient, and what stands still is not kept for backward.
void check_frozen(Checks& checks) {
  auto norm = norm_with(at::ones({16}), at::zeros({16}));
  const auto x = at::randn({4, 16}).requires_grad_(true);
  const auto [sum, normed] = ops::add_norm(x, at::randn({4, 16}), *norm);
  const auto slope = torch::autograd::grad({sum.sum() + normed.sum()}, {x})[0];
  checks.near("a sum passes its slope, and a norm of even slopes none", slope, at::ones_like(slope), 1e-5);
  auto half_frozen = norm_with(at::ones({16}), at::zeros({16}).requires_grad_(true));
  const auto of_bias = torch::autograd::grad({ops::norm_of(x, *half_frozen).sum()}, {half_frozen->bias}, {}, std::nullopt,
                                             /*create_graph=*/false, /*allow_unused=*/true)[0];
  checks.holds("a bias learns beside a frozen weight", of_bias.defined() && of_bias.equal(at::full({16}, 4.0)));
  at::NoGradGuard no_grad;
  checks.holds("no graph without gradients", !ops::norm_of(x, *norm).requires_grad());
}

}  // namespace

TEST_PROGRAM(epilogues) {
  using namespace cellsam;
  at::manual_seed(3);
  Checks checks("epilogues");
  for (const bool fused : {true, false}) {
    ops::fused_epilogues().set(fused);
    for (const auto width : {1, 6, 32, 47, 96}) {
      for (const bool half : {false, true}) {
        for (const auto delta : {at::kFloat, at::kBFloat16}) {
          const auto label = std::string(fused ? "fused" : "torch") + (half ? " bf16" : " fp32") + " width " +
                             std::to_string(width) + " + " + c10::toString(delta);
          if (width > 1) check_norms(checks, label, width, delta, half);
        }
      }
    }
    for (const bool half : {false, true}) check_gelu(checks, fused ? "fused" : "torch", half);
  }
  ops::fused_epilogues().set(true);
  check_threads(checks);
  check_frozen(checks);
  return checks.finish();
}

}  // namespace cellsam::test::epilogues_program
