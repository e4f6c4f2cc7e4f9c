// Muon against what its paper's definition says of singular values, and its step against numbers of one singular value.
#include "optim/muon.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "native/checks.h"
#include "native/program.h"
#include "optim/optimizer.h"

namespace cellsam::test::muon_program {

namespace {

constexpr double kRate = 0.02, kDecay = 0.1;

at::Tensor normal(at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble); }

at::Tensor singular_values(const at::Tensor& matrices) { return std::get<1>(at::_linalg_svd(matrices, false)); }

void check_orthogonalized(Checks& checks) {
  for (const auto& [rows, columns] : {std::pair(24, 96), std::pair(96, 24), std::pair(32, 32)}) {
    const auto matrices = normal({3, rows, columns});
    const auto found = optim::orthogonalized(matrices);
    const auto values = singular_values(found);
    const auto side = std::to_string(rows) + " x " + std::to_string(columns);
    checks.holds(side + ": keeps the shape", found.sizes() == matrices.sizes());
    checks.holds(side + ": singular values are near 1",
                 values.min().item<double>() > 0.6 && values.max().item<double>() < 1.25);
    // In the matrix's own singular vectors it is diagonal: only the singular values have changed.
    const auto [u, s, vh] = at::_linalg_svd(matrices, false);
    const auto inside = u.mT().matmul(found).matmul(vh.mT());
    const auto outside = inside - at::diag_embed(at::diagonal(inside, 0, 1, 2));
    checks.near(side + ": singular vectors stay", outside.abs().max().item<double>(), 0, 1e-9);
    checks.near(side + ": any factor", optim::orthogonalized(matrices * 1e6), found, 1e-9);
    checks.near(side + ": each matrix by itself", optim::orthogonalized(matrices.slice(0, 1, 2))[0], found[1], 1e-12);
  }
  checks.near("a gradient of zeros moves nothing", optim::orthogonalized(at::zeros({1, 16, 16})).abs().max().item<double>(), 0,
              0);
}

void check_names(Checks& checks) {
  const auto matrices_of = [](const char* name, at::IntArrayRef sizes) {
    return optim::stacked_matrices(name, at::zeros(sizes));
  };
  checks.holds("a layer", matrices_of("mlp.lin1.weight", {384, 96}) == 1);
  checks.holds("q, k and v of a block", matrices_of("blocks.0.attn.qkv.weight", {288, 96}) == 3);
  checks.holds("q and k by row and column, and v", matrices_of("self_attn.in_proj_weight", {480, 96}) == 5);
  checks.holds("a convolution", matrices_of("neck.2.weight", {96, 96, 3, 3}) == 1);
  const std::vector<std::pair<const char*, std::vector<std::int64_t>>> others = {
      {"mlp.lin1.bias", {384}},
      {"norm1.weight", {96}},
      {"patch_embed.proj.weight", {96, 3, 8, 8}},
      {"pos_embed", {1, 16, 16, 96}},
      {"attn.rel_pos_h", {31, 24}},
      {"transformer.position.weight", {100, 2}},
      {"transformer.pattern.weight", {1, 96}},
      {"transformer.class_embed.0.weight", {2, 96}},
      {"transformer.bbox_embed.0.layers.2.weight", {4, 96}}};
  for (const auto& [name, sizes] : others) checks.holds(std::string("not ") + name, matrices_of(name, sizes) == 0);
}

struct Trained {
  at::Tensor parameter;
  optim::ParameterGroup group;
};

Trained trained(const at::Tensor& value, const at::Tensor& gradient, std::int64_t matrices) {
  auto parameter = value.clone().requires_grad_(true);
  parameter.mutable_grad() = gradient.clone();
  return {parameter, {"group", {parameter}, 1, kDecay, {matrices}}};
}

const optim::OptimizerOptions kMuon{.method = optim::Method::muon};

void check_step(Checks& checks) {
  // All singular values of an orthogonal matrix of side n are 1, and 1 / sqrt(n) after the division by its norm.
  constexpr std::int64_t kSide = 16;
  const auto orthogonal = std::get<0>(at::linalg_qr(normal({kSide, kSide}))), start = normal({kSide, kSide});
  double x = 1 / std::sqrt(static_cast<double>(kSide));
  for (int i = 0; i < 5; ++i) x = 3.4445 * x - 4.7750 * x * x * x + 2.0315 * std::pow(x, 5);
  auto one = trained(start, 7 * orthogonal, 1);
  optim::Optimizer({one.group}, kMuon).step(kRate);
  const auto expected = start * (1 - kRate * kDecay) - kRate * 0.2 * std::sqrt(static_cast<double>(kSide)) * x * orthogonal;
  checks.near("one step", one.parameter.detach(), expected, 1e-9);

  const auto parts = normal({3, kSide, kSide}), gradients = normal({3, kSide, kSide});
  auto stacked = trained(parts.flatten(0, 1), gradients.flatten(0, 1), 3);
  optim::Optimizer of_stack({stacked.group}, kMuon);
  of_stack.step(kRate);
  of_stack.step(kRate);
  std::vector<at::Tensor> apart;
  for (std::int64_t i = 0; i < 3; ++i) {
    auto part = trained(parts[i], gradients[i], 1);
    optim::Optimizer alone({part.group}, kMuon);
    alone.step(kRate);
    alone.step(kRate);
    apart.push_back(part.parameter.detach());
  }
  checks.near("stacked matrices are apart", stacked.parameter.detach(), at::cat(apart), 1e-9);

  const auto kernel = normal({kSide, 4, 3, 3}), of_kernel = normal({kSide, 4, 3, 3});
  auto convolution = trained(kernel, of_kernel, 1), flat = trained(kernel.flatten(1), of_kernel.flatten(1), 1);
  optim::Optimizer({convolution.group}, kMuon).step(kRate);
  optim::Optimizer({flat.group}, kMuon).step(kRate);
  checks.near("a convolution is the matrix of its kernel", convolution.parameter.detach().flatten(1), flat.parameter.detach(),
              0);

  auto bias = trained(normal({5}), normal({5}), 0), same = trained(bias.parameter.detach(), bias.parameter.grad(), 0);
  optim::Optimizer({bias.group}, kMuon).step(kRate);
  optim::Optimizer({same.group}, {.method = optim::Method::adamw}).step(kRate);
  checks.near("others learn by AdamW", bias.parameter.detach(), same.parameter.detach(), 0);
}

void check_skip(Checks& checks) {
  const auto value = normal({16, 16}), gradient = normal({16, 16});
  auto kept = trained(value, gradient, 1), usual = trained(value, gradient, 1), plain = trained(value, gradient, 1);
  optim::Optimizer skipping({kept.group}, kMuon), going({usual.group}, kMuon), without({plain.group}, kMuon);
  going.step(kRate, at::zeros({}));
  without.step(kRate);
  checks.near("a step that is not skipped", usual.parameter.detach(), plain.parameter.detach(), 0);
  skipping.step(kRate);
  const auto momentum = skipping.state().front().second.clone(), before = kept.parameter.detach().clone();
  kept.parameter.mutable_grad().fill_(std::numeric_limits<double>::quiet_NaN());
  skipping.step(kRate, at::ones({}));
  checks.near("a skipped step keeps the weights", kept.parameter.detach(), before, 0);
  checks.near("a skipped step keeps the momentum", skipping.state().front().second, momentum, 0);
}

}  // namespace

TEST_PROGRAM(muon) {
  Checks checks("muon");
  at::manual_seed(3);
  check_orthogonalized(checks);
  check_names(checks);
  check_step(checks);
  check_skip(checks);
  return checks.finish();
}

}  // namespace cellsam::test::muon_program
