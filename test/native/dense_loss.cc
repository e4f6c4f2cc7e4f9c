// The dense head and its loss, against tokens placed by hand, numbers of single tokens, and finite differences.
#include "loss/dense.h"

#include <ATen/ATen.h>

#include <cmath>

#include "model/dense_head.h"
#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::dense_loss_program {

using loss::Targets;

namespace {

constexpr std::int64_t kSide = 4;  // tokens at 0.125, 0.375, 0.625, 0.875

Targets image_of(const std::vector<std::vector<double>>& boxes, const at::Tensor& ignored = {}) {
  auto tensor = at::zeros({std::ssize(boxes), 4});
  for (std::size_t i = 0; i < boxes.size(); ++i) tensor[static_cast<std::int64_t>(i)].copy_(at::tensor(boxes[i]));
  return {tensor, at::zeros({std::ssize(boxes)}, at::kLong), ignored};
}

void check_tokens(Checks& checks) {
  auto ignored = at::zeros({8, 8}, at::kByte);
  ignored.slice(0, 0, 2).slice(1, 6, 8).fill_(1);  // where token 3 lies
  // A small cell near token 0; a large one around tokens 5, 6, 9 and 10; one inside of it, nearer to token 10.
  const auto found = loss::token_targets(
      {image_of({{0.14, 0.12, 0.02, 0.02}, {0.5, 0.5, 0.6, 0.6}, {0.62, 0.62, 0.2, 0.2}}, ignored), image_of({})}, kSide,
      kSide);
  checks.near("tokens that learn a cell", found.token, at::tensor({0, 5, 6, 9, 10}, at::kLong), 0);
  checks.near("their boxes", found.boxes.select(1, 2), at::tensor({0.02, 0.6, 0.6, 0.6, 0.2}, at::kDouble), 1e-7);
  auto is_cell = at::zeros({2, kSide * kSide}), weight = at::ones({2, kSide * kSide});
  for (const std::int64_t token : {0, 5, 6, 9, 10}) is_cell[0][token] = 1;
  for (const std::int64_t token : {5, 6, 9}) weight[0][token] = 1.0 / 3;
  weight[0][3] = 0;
  checks.near("classes", found.is_cell, is_cell, 0);
  checks.near("what they count", found.class_weight, weight, 1e-7);
  const auto wide = loss::token_targets({image_of({{0.9, 0.5, 0.1, 0.4}})}, 2, 8);
  checks.near("a cell between two rows is learnt in both", wide.token, at::tensor({7, 15}, at::kLong), 0);
}

struct Tokens {
  at::Tensor logits, boxes;  // float64
};

Tokens random_tokens(std::int64_t images) {
  return {at::randn({images, kSide * kSide}, at::kDouble), at::rand({images, kSide * kSide, 4}, at::kDouble) * 0.5 + 0.2};
}

double loss_of(const Tokens& tokens, const std::vector<Targets>& targets, const loss::DetectionLossOptions& options = {}) {
  return loss::dense_loss(tokens.logits, tokens.boxes, kSide, kSide, targets, options).item<double>();
}

double focal(double logit, bool cell, double alpha) {
  const double p = 1 / (1 + std::exp(-logit));
  return cell ? -alpha * (1 - p) * (1 - p) * std::log(p) : -(1 - alpha) * p * p * std::log(1 - p);
}

void check_values(Checks& checks) {
  loss::DetectionLossOptions only{.ce_weight = 2, .bbox_weight = 0, .giou_weight = 0, .focal_alpha = 0.3};
  auto tokens = random_tokens(1);
  const auto logit = [&](std::int64_t token) { return tokens.logits[0][token].item<double>(); };
  double expected = 0;
  for (std::int64_t token = 0; token < kSide * kSide; ++token) expected += 2 * focal(logit(token), token == 0, 0.3);
  const std::vector<Targets> small = {image_of({{0.14, 0.12, 0.02, 0.02}})}, large = {image_of({{0.5, 0.5, 0.6, 0.6}})};
  checks.near("class loss", loss_of(tokens, small, only), expected, 1e-6);
  checks.near("class loss without cells", loss_of(tokens, {image_of({})}, only),
              expected + 2 * (focal(logit(0), false, 0.3) - focal(logit(0), true, 0.3)), 1e-6);

  only = {.ce_weight = 0, .bbox_weight = 5, .giou_weight = 0};
  tokens.boxes[0][0].copy_(at::tensor({0.2, 0.1, 0.05, 0.04}));
  checks.near("L1", loss_of(tokens, small, only), 5 * (0.06 + 0.02 + 0.03 + 0.02), 1e-6);
  tokens.boxes[0].slice(0, 0).copy_(at::tensor({0.5, 0.5, 0.3, 0.6}).expand({kSide * kSide, 4}));
  checks.near("a cell of four tokens counts once", loss_of(tokens, large, only), 5 * 0.3, 1e-6);
  only = {.ce_weight = 0, .bbox_weight = 0, .giou_weight = 2};
  checks.near("GIoU of a half", loss_of(tokens, large, only), 2 * (1 - 0.5), 1e-6);
  tokens.boxes[0].copy_(at::tensor({0.5, 0.95, 0.6, 0.1}).expand({kSide * kSide, 4}));
  // Apart: boxes of 0.36 and 0.06, in a hull of 0.6 x 0.8.
  checks.near("GIoU of boxes apart", loss_of(tokens, large, only), 2 * (1 + (0.48 - 0.42) / 0.48), 1e-6);
}

void check_rules(Checks& checks) {
  const std::vector<Targets> images = {image_of({{0.5, 0.5, 0.6, 0.6}, {0.14, 0.12, 0.02, 0.02}, {0.9, 0.2, 0.2, 0.3}}),
                                       image_of({}), image_of({{0.3, 0.7, 0.5, 0.2}})};
  auto tokens = random_tokens(3);
  const auto apart = [&](std::int64_t i) {
    return loss_of({tokens.logits.narrow(0, i, 1), tokens.boxes.narrow(0, i, 1)}, {images[static_cast<std::size_t>(i)]});
  };
  checks.near("images apart, by their cells", loss_of(tokens, images), (3 * apart(0) + apart(1) + apart(2)) / 4, 1e-6);

  for (auto* tensor : {&tokens.logits, &tokens.boxes}) tensor->set_requires_grad(true);
  loss::dense_loss(tokens.logits, tokens.boxes, kSide, kSide, images, {}).backward();
  at::NoGradGuard no_grad;
  for (auto* tensor : {&tokens.logits, &tokens.boxes}) {
    constexpr double kStep = 1e-6;
    const auto gradient = tensor->grad().flatten();
    auto flat = tensor->flatten();
    double worst = 0;
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
      const double before = flat[i].item<double>();
      flat[i] = before + kStep;
      const double above = loss_of(tokens, images);
      flat[i] = before - kStep;
      const double below = loss_of(tokens, images);
      flat[i] = before;
      worst = std::max(worst, std::abs((above - below) / (2 * kStep) - gradient[i].item<double>()));
    }
    checks.near(std::string("finite differences of ") + (tensor == &tokens.logits ? "logits" : "boxes"), worst, 0, 1e-7);
  }
}

void check_head(Checks& checks) {
  const auto tokens = at::randn({2, 3, 5, 32});
  model::DenseHead head(32), again(32);
  const auto found = head(tokens);
  checks.holds("the same weights each time", head(tokens).boxes.equal(again(tokens).boxes));
  checks.near("starts with a probability of 0.01", found.logits.sigmoid(), at::full({2, 15}, 0.01), 1e-6);
  const auto box = [](double x, double y) {
    return at::tensor({x, y, 1 / (1 + std::exp(2.0)), 1 / (1 + std::exp(2.0))}).to(at::kFloat);
  };
  checks.near("starts with a box at the first token", found.boxes[1][0].detach(), box(0.1, 1.0 / 6), 1e-6);
  checks.near("starts with a box at the last token", found.boxes[0][14].detach(), box(0.9, 5.0 / 6), 1e-6);
}

}  // namespace

TEST_PROGRAM(dense_loss) {
  Checks checks("dense_loss");
  at::manual_seed(4);
  check_tokens(checks);
  check_values(checks);
  check_rules(checks);
  check_head(checks);
  return checks.finish();
}

}  // namespace cellsam::test::dense_loss_program
