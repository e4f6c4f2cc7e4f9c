// LoRA against its definition: a layer W x + scale * up (down x) whose factors autograd and torch's own AdamW train.
#include "optim/low_rank.h"

#include <ATen/ATen.h>
#include <torch/optim/adamw.h>

#include <limits>
#include <map>

#include "native/checks.h"
#include "native/program.h"
#include "optim/optimizer.h"

namespace cellsam::test::low_rank_program {

namespace {

constexpr double kRate = 0.01, kDecay = 0.1, kScale = 1.5;
constexpr std::int64_t kIn = 12, kOut = 20, kRank = 3;

at::Tensor normal(at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble); }

optim::ParameterGroup group_of(const at::Tensor& weight, std::int64_t rank = kRank) {
  return {"backbone", {weight}, 1, kDecay, {}, {rank, kScale}};
}

std::map<std::string, at::Tensor> factors_of(const optim::Optimizer& optimizer) {
  std::map<std::string, at::Tensor> factors;
  for (const auto& [name, tensor] : optimizer.state()) {
    if (name.starts_with("lora.")) factors[name] = tensor;
  }
  return factors;
}

at::Tensor loss_of(const at::Tensor& y, const at::Tensor& wanted) { return (y - wanted).pow(2).mean(); }

void check_definition(Checks& checks) {
  const auto start = normal({kOut, kIn}), x = normal({30, kIn}), wanted = normal({30, kOut});
  auto weight = start.clone().requires_grad_(true);
  optim::Optimizer optimizer({group_of(weight)}, {.seed = 5});
  const auto factors = factors_of(optimizer);
  auto down = factors.at("lora.0.down").clone().requires_grad_(true), up = factors.at("lora.0.up").clone().requires_grad_(true);
  checks.holds("factors' shapes",
               down.sizes() == at::IntArrayRef({kRank, kIn}) && up.sizes() == at::IntArrayRef({kOut, kRank}));
  checks.holds("up begins at 0, down within 1 / sqrt(in)", up.count_nonzero().item<std::int64_t>() == 0 &&
                                                               down.abs().max().item<double>() <= 1 / std::sqrt(1.0 * kIn) &&
                                                               down.abs().min().item<double>() > 0);
  torch::optim::AdamW reference({down, up}, torch::optim::AdamWOptions(kRate).weight_decay(kDecay));
  for (int i = 0; i < 5; ++i) {
    loss_of(x.matmul(weight.t()), wanted).backward();
    optimizer.step(kRate);
    optimizer.zero_grad();
    reference.zero_grad();
    loss_of(x.matmul(start.t()) + kScale * x.matmul(down.t()).matmul(up.t()), wanted).backward();
    reference.step();
  }
  const auto change = (weight - start).detach();
  checks.near("five updates", change, (kScale * up.matmul(down)).detach(), 1e-12);
  checks.holds("they moved it", change.abs().max().item<double>() > 0.01);
  checks.near("by a matrix of that rank", std::get<1>(at::_linalg_svd(change, false))[kRank].item<double>(), 0, 1e-12);
  checks.holds("no gradient is left", !weight.grad().defined());
}

void check_rank(Checks& checks) {
  for (const std::int64_t rank : {1, 100}) {
    const auto weight = normal({kOut, kIn}).requires_grad_(true);
    const auto down = factors_of(optim::Optimizer({group_of(weight, rank)})).at("lora.0.down");
    checks.holds("rank " + std::to_string(rank), down.size(0) == std::min(rank, kIn));
    checks.near("numbers of rank " + std::to_string(rank), static_cast<double>(optim::low_rank_numbers(weight, rank)),
                static_cast<double>(std::min(rank, kIn) * (kIn + kOut)), 0);
  }
  const auto drawn = [](std::uint64_t seed) {
    return factors_of(optim::Optimizer({group_of(at::ones({kOut, kIn}, at::kDouble).requires_grad_(true))}, {.seed = seed}))
        .at("lora.0.down");
  };
  checks.holds("the seed decides", drawn(1).equal(drawn(1)) && !drawn(1).equal(drawn(2)));
}

void check_skip(Checks& checks) {
  auto weight = normal({kOut, kIn}).requires_grad_(true), idle = normal({kOut, kIn}).requires_grad_(true);
  optim::Optimizer optimizer({group_of(weight), {"more", {idle}, 1, kDecay, {}, {kRank, kScale}}});
  const auto update = [&](const at::Tensor& gradient, double skip) {
    weight.mutable_grad() = gradient;
    optimizer.step(kRate, at::full({}, skip));
  };
  update(normal({kOut, kIn}), 0);
  const auto before = weight.detach().clone(), unused = idle.detach().clone();
  update(at::full({kOut, kIn}, std::numeric_limits<double>::quiet_NaN(), at::kDouble), 1);
  checks.holds("an update that is left out keeps the bits", weight.equal(before));
  update(normal({kOut, kIn}), 0);
  checks.holds("the next one moves it", weight.isfinite().all().item<bool>() && !weight.equal(before));
  checks.holds("without a gradient a matrix stays", idle.equal(unused));
}

void check_resume(Checks& checks) {
  for (const auto* name : {"adamw", "muon", "adam", "sgd"}) {
    const optim::OptimizerOptions options{.method = optim::parse_method(name)};
    const auto start = normal({kOut, kIn});
    auto straight = start.clone().requires_grad_(true), halted = start.clone().requires_grad_(true);
    const std::vector<at::Tensor> gradients = {normal({kOut, kIn}), normal({kOut, kIn}), normal({kOut, kIn})};
    const auto update = [](optim::Optimizer& optimizer, at::Tensor& weight, const at::Tensor& gradient) {
      weight.mutable_grad() = gradient.clone();
      optimizer.step(kRate);
      optimizer.zero_grad();
    };
    optim::Optimizer whole({group_of(straight)}, options), first({group_of(halted)}, options);
    for (const auto& gradient : gradients) update(whole, straight, gradient);
    update(first, halted, gradients[0]);
    optim::Optimizer second({group_of(halted)}, {.method = options.method, .seed = 9});
    second.load_state(first.state());
    update(second, halted, gradients[1]);
    update(second, halted, gradients[2]);
    checks.holds(std::string(name) + ": resumed bit for bit", halted.equal(straight));
    auto state = first.state();
    state.pop_back();
    checks.throws("state without a factor", "ERR_STATE_MISMATCH", [&] { second.load_state(state); });
  }
}

}  // namespace

TEST_PROGRAM(low_rank) {
  Checks checks("low_rank");
  at::manual_seed(4);
  check_definition(checks);
  check_rank(checks);
  check_skip(checks);
  check_resume(checks);
  return checks.finish();
}

}  // namespace cellsam::test::low_rank_program
