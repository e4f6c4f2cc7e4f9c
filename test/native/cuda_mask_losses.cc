// The CUDA kernels of the mask losses, run as host loops over blocks and threads: losses and gradients against the float64
// losses on a mask that was upsampled by torch.
#include "cuda/mask_losses.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <vector>

#include "loss/upsampled_mask_loss.h"
#include "native/checks.h"
#include "native/kernel_loops.h"
#include "native/mask_losses.h"
#include "native/program.h"

namespace cellsam::test::cuda_mask_losses_program {

using namespace cellsam::cuda;
using at::Tensor;

namespace {

constexpr std::size_t kSharedLimit = 48 * 1024;  // what every GPU gives a block
constexpr float kMaskLogit = -0.4054651F;        // sigmoid 0.4

struct Case {
  const char* name;
  std::int64_t low_height, low_width, canvas_height, canvas_width, height, width;
  loss::MaskLossOptions options = {};
  bool ignores = false;
  std::size_t shared_limit = kSharedLimit;
};

struct Scene {
  Tensor logits, labels, ids;  // [N,h,w], [H,W], [N]
};

// Blocks of ids, and prompts for some of them; the last one is the background prompt.
Scene scene_of(const Case& c) {
  at::manual_seed(7);
  Scene scene;
  scene.labels = at::upsample_nearest2d(at::randint(0, 4, {1, 1, 5, 6}).to(at::kFloat), {c.height, c.width})
                     .view({c.height, c.width})
                     .to(at::kInt);
  if (c.ignores) scene.labels.slice(0, 0, c.height / 3).slice(1, c.width / 2).fill_(-1);
  scene.ids = at::tensor({1, 3, 2, 0}, at::kInt);
  scene.logits = at::randn({4, c.low_height, c.low_width}) * 3;
  return scene;
}

struct Results {
  Tensor losses, gradient;  // [N,kMaskResults], [N,h,w]
};

Results kernels(const Case& c, const Scene& scene, bool gradient, ThreadOrder order = ThreadOrder::forwards) {
  const auto rows = make_resize_table(c.low_height, c.canvas_height, c.height),
             columns = make_resize_table(c.low_width, c.canvas_width, c.width);
  MaskLossArguments a;
  TORCH_CHECK(plan_tiles(a, rows, columns, c.shared_limit));
  const auto o = loss::fused_losses(c.options).value();
  a.logits = scene.logits.const_data_ptr<float>();
  a.labels = scene.labels.const_data_ptr<int>();
  a.ids = scene.ids.const_data_ptr<int>();
  a.ignores = true, a.ignored = -1;
  a.rows = view_of(rows), a.columns = view_of(columns);
  a.weights = {static_cast<float>(o.focal_weight), static_cast<float>(o.focal_alpha), static_cast<float>(o.focal_gamma),
               static_cast<float>(o.dice_weight),  static_cast<float>(o.dice_smooth), static_cast<float>(o.boundary_weight)};
  a.mask_logit = kMaskLogit;
  a.prompts = static_cast<int>(scene.logits.size(0));
  a.gradient = gradient;
  const auto n = scene.logits.size(0);
  auto partial = at::full({n, a.tiles_down * a.tiles_across, kMaskSums}, NAN), coefficients = at::full({n, kMaskAdjoints}, NAN),
       adjoint = at::full({kMaskAdjoints, n, c.low_height, c.low_width}, NAN);
  Results results{at::full({n, kMaskResults}, NAN), at::full(scene.logits.sizes(), NAN)};
  a.partial = partial.data_ptr<float>(), a.adjoint = adjoint.data_ptr<float>();
  a.coefficients = coefficients.data_ptr<float>();
  a.results = results.losses.data_ptr<float>(), a.total_gradient = results.gradient.data_ptr<float>();
  loop_mask_losses(a, order);
  return results;
}

Results reference(const Case& c, const Scene& scene) {
  const auto leaf = scene.logits.to(at::kDouble).requires_grad_(true);
  const auto resize = [](const Tensor& map, std::int64_t height, std::int64_t width) {
    return at::upsample_bilinear2d(map, {height, width}, /*align_corners=*/false);
  };
  const auto full =
      resize(resize(leaf.unsqueeze(1), c.canvas_height, c.canvas_width), c.height, c.width).squeeze(1);  // [N,H,W]
  const auto label = scene.labels.unsqueeze(0), ids = scene.ids.view({-1, 1, 1});
  const auto target = at::logical_and(label == ids, ids != 0).to(at::kDouble), counted = label.ne(-1).to(at::kDouble);
  const auto loss = loss::mask_loss(full, target, c.options, label.eq(-1));
  loss.total.sum().backward();
  const auto mask = (full > kMaskLogit).to(at::kDouble) * counted, hit = (mask * target).sum({1, 2});
  const auto iou = hit / (mask.sum({1, 2}) + target.sum({1, 2}) - hit).clamp_min(1);
  return {at::stack({term(loss, "focal"), term(loss, "dice"), term(loss, "boundary"), iou}, 1).detach(), leaf.grad()};
}

void check_case(Checks& checks, const Case& c) {
  const auto scene = scene_of(c);
  const auto got = kernels(c, scene, true), plain = kernels(c, scene, false), wanted = reference(c, scene);
  const std::string name = c.name;
  checks.near(name + ": losses", got.losses, wanted.losses, 1e-6);
  const auto scale = wanted.gradient.abs().amax({1, 2}, true).clamp_min(1e-30);
  checks.near(name + ": gradient, relative", got.gradient.to(at::kDouble) / scale, wanted.gradient / scale, 1e-6);
  const auto backwards_results = kernels(c, scene, true, ThreadOrder::backwards);
  checks.holds(name + ": the threads' order changes nothing",
               at::equal(backwards_results.losses, got.losses) && at::equal(backwards_results.gradient, got.gradient));
  // The tiles of a pass without gradient have smaller margins, so its sums run in another order.
  checks.near(name + ": losses alone", plain.losses, wanted.losses, 1e-6);
}

// The operator for tensors of the CPU, by the same loops.
std::tuple<Tensor, Tensor> mask_losses_on_host(const Tensor& logits, const Tensor& labels, const Tensor& ids,
                                               std::int64_t canvas, std::optional<std::int64_t> ignored,
                                               at::ArrayRef<double> weights, double mask_logit, bool gradient) {
  TORCH_CHECK(ignored == -1 && static_cast<float>(mask_logit) == kMaskLogit);
  const auto options = mask_options({{"focal_loss_weight", weights[0]},
                                     {"focal_alpha", weights[1]},
                                     {"focal_gamma", weights[2]},
                                     {"dice_loss_weight", weights[3]},
                                     {"dice_smooth", weights[4]},
                                     {"boundary_loss_weight", weights[5]}});
  const Case c{"", logits.size(1), logits.size(2), canvas, canvas, labels.size(0), labels.size(1), options};
  const auto results = kernels(c, {logits, labels, ids}, gradient);
  return {results.losses, results.gradient};
}

bool usable = true;  // whether the stand-in device can run the kernels

// The way from the engine to the operator: its signature, the order of what it takes and gives.
void check_operator(Checks& checks, const loss::MaskLossOptions& options) {
  const auto scene = scene_of({"", 32, 32, 128, 128, 64, 64, {}, true});
  const auto leaf = scene.logits.clone().requires_grad_(true);
  const loss::UpsampledMasks masks{leaf, scene.labels, scene.ids, 128, -1, kMaskLogit};
  const auto losses = loss::fused_losses(options).value();
  const auto found = loss::fused_mask_loss_cuda(masks, losses, true).value();
  const auto plain = loss::upsampled_mask_loss(masks, options, /*fused=*/false);
  plain.loss.total.sum().backward();
  const std::array names{"focal", "dice", "boundary"};
  for (std::int64_t i = 0; i < std::ssize(names); ++i) {
    checks.near(std::string("operator: ") + names[i], found.terms.select(1, i), term(plain.loss, names[i]), 1e-6);
  }
  checks.near("operator: iou", found.iou, plain.iou, 1e-6);
  checks.near("operator: gradient", found.gradient, leaf.grad(), 1e-6);
  checks.holds("operator: no gradient unless asked for", !loss::fused_mask_loss_cuda(masks, losses, false)->gradient.defined());
  auto far = masks;
  far.labels = at::zeros({32 * 17, 64}, at::kInt);
  checks.holds("operator: too large a tile is left to torch", !loss::fused_mask_loss_cuda(far, losses, false));
  usable = false;
  checks.holds("operator: a GPU that the library holds no code for is left to torch",
               !loss::fused_mask_loss_cuda(masks, losses, false));
  usable = true;
}

// A logit that is not finite reaches every loss of its prompt, and no other prompt.
void check_not_finite(Checks& checks, float logit) {
  const Case c{"", 32, 32, 128, 128, 64, 64};
  auto scene = scene_of(c);
  scene.labels.fill_(1);  // infinity is right everywhere for prompt 0, of id 1
  scene.logits[0][5][7] = logit;
  const auto results = kernels(c, scene, true);
  const auto losses = results.losses.narrow(1, 0, kMaskIou);
  checks.holds(std::to_string(logit) + " makes every loss NaN", losses[0].isnan().all().item<bool>());
  checks.holds(
      std::to_string(logit) + " stays with its prompt",
      losses.narrow(0, 1, 3).isfinite().all().item<bool>() && results.gradient.narrow(0, 1, 3).isfinite().all().item<bool>());
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(cellsam_cuda, library) {
  library.def(kMaskLossSchema);
  library.def(kMaskLossUsableSchema, [](std::int64_t) { return usable; });
}
TORCH_LIBRARY_IMPL(cellsam_cuda, CPU, library) { library.impl("mask_losses", TORCH_FN(mask_losses_on_host)); }

TEST_PROGRAM(cuda_mask_losses) {
  Checks checks("cuda_mask_losses");
  check_case(checks, {"twice the size by way of four times", 32, 32, 128, 128, 64, 64});
  check_case(checks, {"more tiles than one, uneven", 40, 40, 160, 160, 80, 80});
  check_case(checks, {"an odd ratio", 24, 24, 96, 96, 77, 77});
  check_case(checks, {"smaller than the logits", 64, 64, 256, 256, 40, 40});
  check_case(checks, {"the same size", 20, 20, 20, 20, 20, 20});
  check_case(checks, {"a canvas smaller than both", 40, 40, 25, 25, 60, 60});
  check_case(checks, {"sixteen times the size", 12, 12, 48, 48, 192, 192});
  check_case(checks, {"not square", 12, 34, 48, 136, 45, 80});
  check_case(checks, {"ignored pixels", 32, 32, 128, 128, 64, 64, {}, true});
  check_case(checks, {"tiles of one low_pixel", 9, 9, 36, 36, 72, 72, {}, true, mask_shared_bytes(22 * 22)});
  Dict other{{"focal_loss_weight", 2},  {"focal_alpha", -1}, {"focal_gamma", 0.5},
             {"dice_loss_weight", 0.3}, {"dice_smooth", 4},  {"boundary_loss_weight", 0.7}};
  check_case(checks, {"other weights, no alpha, a broken gamma", 32, 32, 128, 128, 64, 64, mask_options(other), true});
  check_operator(checks, mask_options(other));
  other["focal_gamma"] = 0, other["use_boundary_loss"] = false;
  check_case(checks, {"gamma 0, no boundary", 32, 32, 128, 128, 64, 64, mask_options(other)});
  const auto dice = mask_options({{"focal_loss_weight", 0}, {"use_boundary_loss", false}});
  check_case(checks, {"dice alone", 32, 32, 128, 128, 64, 64, dice, true});

  for (const float logit : {INFINITY, -INFINITY, NAN}) check_not_finite(checks, logit);

  MaskLossArguments a;
  const auto wide = make_resize_table(4, 16, 2000);
  checks.holds("a ratio that no tile holds is refused", !plan_tiles(a, wide, wide, kSharedLimit));
  return checks.finish();
}

}  // namespace cellsam::test::cuda_mask_losses_program
