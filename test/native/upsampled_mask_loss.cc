// The mask loss fused with its upsampling against the same mathematics in float64 tensors: values, gradients, IoU, every
// instruction set that this CPU has, and what must not change them.
#include "loss/upsampled_mask_loss.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "kernels/isa.h"
#include "native/checks.h"
#include "native/mask_losses.h"
#include "native/program.h"

namespace cellsam::test::upsampled_mask_loss_program {

using at::Tensor;

namespace {

constexpr double kThreshold = -0.4;

struct Sizes {
  std::int64_t low_height, low_width, canvas, height, width;

  std::string name() const {
    return std::to_string(low_height) + "x" + std::to_string(low_width) + " by " + std::to_string(canvas) + " to " +
           std::to_string(height) + "x" + std::to_string(width);
  }
};

// Logits of one prompt per cell, unsure at the rim, and one for an id that is not there and one for the background. Cells are
// ellipses; one touches the corner and one the far sides.
loss::UpsampledMasks scene(const Sizes& sizes, bool ignores = false) {
  at::manual_seed(11);
  const auto y = at::arange(sizes.height, at::kDouble).div(static_cast<double>(sizes.height)).view({-1, 1});
  const auto x = at::arange(sizes.width, at::kDouble).div(static_cast<double>(sizes.width)).view({1, -1});
  const auto ellipse = [&](double cy, double cx, double a, double b) {
    return ((y - cy) / a).square() + ((x - cx) / b).square() < 1;
  };
  auto labels = at::zeros({sizes.height, sizes.width}, at::kInt);
  labels.masked_fill_(ellipse(0.5, 0.45, 0.14, 0.2), 7);
  labels.masked_fill_(ellipse(0.02, 0.03, 0.2, 0.16), 2);
  labels.masked_fill_(ellipse(0.97, 0.9, 0.1, 0.22), 1 << 20);
  if (ignores) {
    labels.slice(0, sizes.height / 3, sizes.height / 2).slice(1, sizes.width / 2, sizes.width).fill_(-1);
    labels.narrow(1, sizes.width - 1, 1).fill_(-1);
  }
  const auto ids = at::tensor({7, 2, 1 << 20, 99, 0}, at::kInt);
  const auto logits = at::randn({5, sizes.low_height, sizes.low_width}, at::kFloat) * 3 - 1;
  loss::UpsampledMasks masks{logits, labels, ids, sizes.canvas};
  if (ignores) masks.ignored = -1;
  masks.iou_threshold = kThreshold;
  return masks;
}

struct Outcome {
  loss::UpsampledMaskLoss found;
  Tensor gradient;
};

const Tensor& outer() {
  static const auto weights = at::tensor({1.0, 2.5, 1.2, 1.0, 0.7}, at::kDouble);  // as from mining
  return weights;
}

Outcome run(loss::UpsampledMasks masks, const loss::MaskLossOptions& options, bool fused) {
  masks.logits = masks.logits.detach().clone().requires_grad_(true);
  auto found = loss::upsampled_mask_loss(masks, options, fused);
  (found.loss.total * outer().to(found.loss.total.scalar_type())).sum().backward();
  return {found, masks.logits.grad()};
}

// In float64, resized twice whatever the sizes are, and with every tensor of the full size.
Outcome reference(const loss::UpsampledMasks& masks, const loss::MaskLossOptions& options) {
  const auto logits = masks.logits.detach().to(at::kDouble).requires_grad_(true);
  const auto height = masks.labels.size(0), width = masks.labels.size(1);
  auto map = at::upsample_bilinear2d(logits.unsqueeze(1), {masks.canvas, masks.canvas}, false);
  map = at::upsample_bilinear2d(map, {height, width}, false).squeeze(1);
  const auto labels = masks.labels.unsqueeze(0), ids = masks.ids.view({-1, 1, 1});
  const auto target = at::logical_and(labels == ids, ids != 0);
  const auto hidden = masks.ignored ? labels == *masks.ignored : Tensor();
  Outcome outcome{{loss::mask_loss(map, target, options, hidden), {}}, {}};
  (outcome.found.loss.total * outer()).sum().backward();
  const auto counted = hidden.defined() ? at::logical_not(hidden) : at::ones_like(labels, at::kBool);
  const auto mask = at::logical_and(map.detach() > kThreshold, counted);
  const auto shared = at::logical_and(mask, target).sum({1, 2}).to(at::kDouble);
  outcome.found.iou = shared / at::logical_or(mask, target).sum({1, 2}).clamp_min(1);
  outcome.gradient = logits.grad();
  return outcome;
}

double relative(const Tensor& got, const Tensor& expected) {
  const double norm = expected.norm().item<double>();
  const double error = (got.to(at::kDouble) - expected).norm().item<double>();
  return norm == 0 ? error : error / norm;
}

void compare(test::Checks& checks, const std::string& name, const Outcome& got, const Outcome& expected, double limit) {
  const auto &a = got.found, &b = expected.found;
  checks.near(name + ", focal", term(a.loss, "focal").to(at::kDouble), term(b.loss, "focal"), limit);
  checks.near(name + ", dice", term(a.loss, "dice").to(at::kDouble), term(b.loss, "dice"), limit);
  checks.near(name + ", boundary", term(a.loss, "boundary").to(at::kDouble), term(b.loss, "boundary"), limit);
  checks.near(name + ", total", a.loss.total.detach().to(at::kDouble), b.loss.total.detach(), 2 * limit);
  checks.near(name + ", iou", a.iou.to(at::kDouble), b.iou, 1e-6);
  checks.near(name + ", gradient", relative(got.gradient, expected.gradient), 0, limit);
  for (std::int64_t i = 0; i < got.gradient.size(0); ++i) {
    checks.near(name + ", gradient of prompt " + std::to_string(i), relative(got.gradient[i], expected.gradient[i]), 0, limit);
  }
}

std::vector<std::pair<kernels::Isa, std::string>> levels() {
  std::vector<std::pair<kernels::Isa, std::string>> found{
      {kernels::Isa::portable, "portable"}, {kernels::Isa::avx2, "AVX2"}, {kernels::Isa::avx512, "AVX-512"}};
  while (found.back().first > kernels::best_isa()) found.pop_back();
  return found;
}

// Fused in float32 at every level of instructions.
void compare_levels(test::Checks& checks, const std::string& name, const loss::UpsampledMasks& masks,
                    const loss::MaskLossOptions& options = {}) {
  const auto expected = reference(masks, options);
  for (const auto& [level, label] : levels()) {
    kernels::use_isa(level);
    compare(checks, label + ", " + name, run(masks, options, true), expected, 1e-6);
  }
}

const std::vector<Sizes>& all_sizes() {
  static const std::vector<Sizes> sizes = {
      {128, 128, 512, 256, 256},  // the doubling, by way of twice the size
      {32, 32, 128, 256, 256},    // up twice
      {64, 64, 256, 100, 100},    // up and down
      {64, 64, 256, 64, 64},      // back to where it began
      {48, 40, 96, 77, 131},      // sizes that no vector divides
      {37, 29, 61, 23, 19},       // down
      {96, 96, 32, 160, 160},     // down and up: inputs that nothing reads
      {32, 32, 32, 32, 32},       // nothing to do
      {1, 1, 4, 3, 1},            // the least
      {8, 5, 20, 200, 170},       // far up
  };
  return sizes;
}

void check_sizes(test::Checks& checks) {
  for (const auto& sizes : all_sizes()) {
    compare_levels(checks, sizes.name(), scene(sizes));
    compare_levels(checks, sizes.name() + ", ignored pixels", scene(sizes, true));
  }
}

void check_options(test::Checks& checks) {
  const auto masks = scene({64, 64, 256, 128, 128});
  for (double gamma : {0.0, 0.5, 1.0, 1.5, 2.0, 5.0}) {
    Dict focal{{"focal_gamma", gamma}, {"focal_loss_weight", 3}, {"dice_loss_weight", 0}, {"use_boundary_loss", false}};
    compare_levels(checks, "focal alone, gamma " + std::to_string(gamma), masks, mask_options(focal));
    focal["focal_alpha"] = -1;
    compare_levels(checks, "focal without alpha, gamma " + std::to_string(gamma), masks, mask_options(focal));
  }
  const auto weighted = [](double focal, double dice, double boundary) {
    return mask_options(
        {{"focal_loss_weight", focal}, {"dice_loss_weight", dice}, {"boundary_loss_weight", boundary}, {"dice_smooth", 0.3}});
  };
  compare_levels(checks, "dice alone", masks, weighted(0, 1, 0));
  compare_levels(checks, "boundary alone", masks, weighted(0, 0, 2));
  compare_levels(checks, "nothing", masks, weighted(0, 0, 0));
}

// Sure logits, right ones and wrong ones: the gradient keeps its digits where float32 probabilities round to 0 and 1.
void check_sure_logits(test::Checks& checks) {
  const Sizes sizes{32, 32, 128, 64, 64};
  for (const double size : {20.0, 80.0}) {
    auto masks = scene(sizes);
    const auto sure = masks.logits.sign() * size;
    masks.logits = at::where(at::rand_like(sure) < 0.7, sure, masks.logits);
    compare_levels(checks, "some logits of " + std::to_string(size), masks);
  }
  auto masks = scene(sizes);
  masks.logits = masks.logits - 18;
  compare_levels(checks, "hardly anything found", masks);
}

void check_extremes(test::Checks& checks, const std::string& level) {
  const Sizes sizes{32, 32, 128, 64, 64};
  auto masks = scene(sizes);
  masks.logits = at::full_like(masks.logits, -200);
  const auto far = run(masks, {}, true);
  checks.holds(level + ", finite at -200",
               at::isfinite(far.gradient).all().item<bool>() && at::isfinite(far.found.loss.total).all().item<bool>());

  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    masks = scene(sizes);
    masks.logits.select(0, 1).select(0, 9).select(0, 30).fill_(bad);
    const auto spoilt = run(masks, {}, true);
    const auto finite = at::isfinite(spoilt.found.loss.total);
    checks.holds(level + ", a logit of " + std::to_string(bad) + " shows in its prompt's loss alone",
                 finite.to(at::kInt).equal(at::tensor({1, 0, 1, 1, 1}, at::kInt)));
    checks.holds(level + ", and in its gradient",
                 !at::isfinite(spoilt.gradient[1]).any().item<bool>() && at::isfinite(spoilt.gradient[2]).all().item<bool>());
  }
}

void check_same_bits(test::Checks& checks, const std::string& level) {
  const auto masks = scene({64, 64, 256, 128, 128}, true);
  const auto once = run(masks, {}, true);
  at::set_num_threads(2);
  const auto again = run(masks, {}, true);
  at::set_num_threads(1);
  checks.holds(level + ", threads change no bit",
               once.gradient.equal(again.gradient) && once.found.loss.total.equal(again.found.loss.total));
  auto one = masks;
  one.logits = masks.logits.narrow(0, 2, 1);
  one.ids = masks.ids.narrow(0, 2, 1);
  const auto alone = loss::upsampled_mask_loss(one);
  checks.holds(level + ", other prompts change no bit", alone.loss.total.equal(once.found.loss.total.narrow(0, 2, 1)));
  at::NoGradGuard no_grad;
  checks.holds(level + ", nor does the gradient", loss::upsampled_mask_loss(masks).loss.total.equal(once.found.loss.total));
}

void check_dtypes(test::Checks& checks) {
  for (const auto& sizes : all_sizes()) {
    auto masks = scene(sizes, true);
    masks.logits = masks.logits.to(at::kDouble);
    compare(checks, "float64, " + sizes.name(), run(masks, {}, true), reference(masks, {}), 1e-11);
  }
  auto masks = scene(all_sizes()[0]);
  masks.logits = masks.logits.to(at::kBFloat16);
  const auto narrow = run(masks, {}, true);
  checks.near("bfloat16 is computed in float32", narrow.found.loss.total.detach().to(at::kDouble),
              reference(masks, {}).found.loss.total.detach(), 1e-6);
  checks.holds("the gradient has the logits' dtype", narrow.gradient.scalar_type() == at::kBFloat16);
  masks.logits = scene(all_sizes()[0]).logits.transpose(1, 2);
  compare(checks, "strided logits", run(masks, {}, true), reference(masks, {}), 1e-6);
}

void check_tensors(test::Checks& checks) {
  for (const auto& sizes : all_sizes()) {
    auto masks = scene(sizes, true);
    masks.logits = masks.logits.to(at::kDouble);
    compare(checks, "by tensors, " + sizes.name(), run(masks, {}, false), reference(masks, {}), 1e-11);
  }
  const auto masks = scene(all_sizes()[0]);
  const auto none = masks.logits.narrow(0, 0, 0);
  for (const bool fused : {false, true}) {
    checks.holds(
        "no prompts",
        loss::upsampled_mask_loss({none, masks.labels, masks.ids.narrow(0, 0, 0), 64}, {}, fused).loss.total.numel() == 0);
    checks.throws("an id for each mask", "ERR_INVALID_ARGUMENT", [&] {
      loss::upsampled_mask_loss({masks.logits, masks.labels, masks.ids.narrow(0, 0, 2), 64}, {}, fused);
    });
  }
}

}  // namespace

TEST_PROGRAM(upsampled_mask_loss) {
  Checks checks("upsampled_mask_loss");
  at::set_num_threads(1);
  check_sizes(checks);
  check_options(checks);
  check_sure_logits(checks);
  for (const auto& [level, name] : levels()) {
    kernels::use_isa(level);
    check_extremes(checks, name);
    check_same_bits(checks, name);
  }
  check_dtypes(checks);
  check_tensors(checks);
  return checks.finish();
}

}  // namespace cellsam::test::upsampled_mask_loss_program
