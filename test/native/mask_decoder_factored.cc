// The factored form of the mask decoder against the plain one: masks, quality and every gradient.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <map>

#include "model/cellsam.h"
#include "native/checks.h"
#include "native/program.h"
#include "ops/decoder_kernels.h"
#include "ops/small_matmul.h"

namespace cellsam::test::mask_decoder_factored_program {

namespace {

struct Setting {
  model::Sam sam{nullptr};
  std::vector<std::int64_t> rows, counts;
  at::Tensor boxes;
};

// Random weights everywhere, also in norms and biases, so that no term vanishes.
Setting small_setting(at::ScalarType dtype) {
  at::manual_seed(11);
  const Dict sizes{{"image_size", 96},   {"patch", 8},        {"prompt_dim", 32},
                   {"decoder_heads", 4}, {"decoder_mlp", 48}, {"iou_hidden", 24}};
  Setting setting{model::Sam(model::model_size("tiny", sizes)), {0, 2}, {2, 3}, {}};
  at::NoGradGuard no_grad;
  for (auto& parameter : setting.sam->parameters()) parameter.add_(0.2 * at::randn_like(parameter));
  setting.sam->to(dtype);
  const auto corners = at::rand({5, 2, 2}, at::kDouble) * 40;
  setting.boxes = at::cat({corners.select(1, 0), corners.select(1, 0) + corners.select(1, 1) + 4}, 1);
  return setting;
}

struct Outcome {
  at::Tensor logits, iou;
  std::map<std::string, at::Tensor> gradients;  // "image" and the names of the parameters
};

Outcome decode(Setting& setting, const at::Tensor& images, bool shared, bool multimask, bool trained) {
  auto& sam = *setting.sam;
  for (auto& parameter : sam.parameters()) {
    parameter.requires_grad_(trained);
    parameter.mutable_grad().reset();
  }
  const auto leaf = images.clone().requires_grad_(true);
  const auto position = sam.prompt_encoder->dense_pe();
  const auto prompts =
      sam.prompt_encoder->forward(std::nullopt, std::nullopt, setting.boxes.to(images.scalar_type()), std::nullopt);
  const auto sparse = prompts.sparse.detach().requires_grad_(true);
  model::Masks masks;
  if (shared) {
    const auto common = sam.mask_decoder->factor(leaf, position, sam.prompt_encoder->no_mask_embedding());
    masks = sam.mask_decoder->forward_factored(common, setting.rows, setting.counts, sparse, multimask);
  } else {
    std::vector<std::int64_t> each;
    for (std::size_t i = 0; i < setting.rows.size(); ++i) each.insert(each.end(), setting.counts[i], setting.rows[i]);
    masks = sam.mask_decoder->forward(leaf.index_select(0, at::tensor(each)), position, sparse, prompts.dense, multimask);
  }
  at::manual_seed(7);
  const auto toward = at::randn(masks.logits.sizes(), at::kDouble).to(images.scalar_type());
  ((masks.logits * toward).sum() + masks.iou.square().sum()).backward();
  Outcome outcome{masks.logits.detach(), masks.iou.detach(), {{"image", leaf.grad()}, {"sparse", sparse.grad()}}};
  if (!trained) return outcome;
  for (const auto& [name, parameter] : model::unique_parameters(sam)) {
    if (parameter.grad().defined()) outcome.gradients[name] = parameter.grad().clone();
  }
  return outcome;
}

double largest(const at::Tensor& x) { return x.abs().max().item<double>(); }

void compare(test::Checks& checks, const std::string& name, const Outcome& got, const Outcome& expected, double limit) {
  checks.near(name + ": logits", got.logits.to(at::kDouble), expected.logits.to(at::kDouble), limit * largest(expected.logits));
  checks.near(name + ": iou", got.iou.to(at::kDouble), expected.iou.to(at::kDouble), limit * largest(expected.iou));
  for (const auto& [key, gradient] : expected.gradients) {
    // Biases of keys add the same to all scores of a query: their gradient is zero up to rounding.
    const double scale = key.ends_with("k_proj.bias") ? 1e3 : std::max(largest(gradient), 1e-3);
    const auto found = got.gradients.find(key);
    const auto mine = found == got.gradients.end() ? at::zeros_like(gradient) : found->second;
    checks.near(name + ": gradient of " + key, mine.to(at::kDouble), gradient.to(at::kDouble), limit * scale);
  }
}

}  // namespace

TEST_PROGRAM(mask_decoder_factored) {
  Checks checks("mask_decoder_factored");
  at::set_num_threads(1);
  auto setting = small_setting(at::kDouble);
  at::manual_seed(3);
  const auto images = at::randn({3, 32, 12, 12}, at::kDouble);
  for (const bool multimask : {false, true}) {
    const std::string name = multimask ? "several masks" : "one mask";
    const auto plain = decode(setting, images, false, multimask, true);
    compare(checks, name, decode(setting, images, true, multimask, true), plain, 1e-11);
  }
  const auto plain = decode(setting, images, false, false, false);
  compare(checks, "frozen", decode(setting, images, true, false, false), plain, 1e-11);

  // In float32 the CPU uses our kernels, for several masks too; with weights that train it uses torch's operations.
  auto single = small_setting(at::kFloat);
  const auto floats = images.to(at::kFloat);
  const auto fused = decode(single, floats, true, false, false);
  compare(checks, "float32", fused, plain, 2e-5);
  compare(checks, "float32, several masks", decode(single, floats, true, true, false),
          decode(setting, images, false, true, false), 2e-5);
  compare(checks, "float32, trained", decode(single, floats, true, false, true), decode(setting, images, false, false, true),
          2e-4);
  const auto again = decode(single, floats, true, false, false);
  checks.holds("repeated: the same bits", again.logits.equal(fused.logits) &&
                                              again.gradients.at("image").equal(fused.gradients.at("image")) &&
                                              again.gradients.at("sparse").equal(fused.gradients.at("sparse")));
  at::set_num_threads(2);
  compare(checks, "two threads", decode(single, floats, true, false, false), fused, 1e-5);
  at::set_num_threads(1);

  // Image by image the masks are the same as in one pass.
  auto alone = single;
  std::vector<at::Tensor> logits;
  for (std::size_t i = 0; i < single.rows.size(); ++i) {
    alone.rows = {single.rows[i]};
    alone.counts = {single.counts[i]};
    alone.boxes = single.boxes.split_with_sizes(single.counts)[i];
    logits.push_back(decode(alone, floats, true, false, false).logits);
  }
  checks.near("image by image", at::cat(logits), fused.logits, 1e-5 * largest(fused.logits));

  // With bfloat16 only the largest products use it. The plain form is allowed the same 2e-2.
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const auto bf16 = decode(single, floats, true, false, false);
  const auto bf16_again = decode(single, floats, true, false, false);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  compare(checks, "bfloat16", bf16, fused, 2e-2);

  // What a GPU does in bfloat16: torch's operations under autocast. The factored form may be off from float64 by as much as
  // three times what the plain one is.
  ops::decoder_kernels().set(false);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto factored = decode(single, floats, true, false, false), unfactored = decode(single, floats, false, false, false);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  const auto no_worse = [&](const std::string& what, const at::Tensor& got, const at::Tensor& allowed,
                            const at::Tensor& exact) {
    const auto off = [&](const at::Tensor& x) { return (x.to(at::kDouble) - exact).norm().item<double>(); };
    checks.near("bfloat16 as on a GPU: " + what, off(got), 0, 3 * off(allowed));
  };
  no_worse("logits", factored.logits, unfactored.logits, plain.logits);
  no_worse("iou", factored.iou, unfactored.iou, plain.iou);
  for (const auto& [key, gradient] : plain.gradients) {
    no_worse("gradient of " + key, factored.gradients.at(key), unfactored.gradients.at(key), gradient);
  }
  ops::decoder_kernels().set(true);
  if (ops::can_multiply(at::kBFloat16)) {
    checks.holds("bfloat16 rounds", !bf16.logits.equal(fused.logits));
    checks.holds("bfloat16, repeated: the same bits",
                 bf16.logits.equal(bf16_again.logits) && bf16.gradients.at("image").equal(bf16_again.gradients.at("image")));
  }
  return checks.finish();
}

}  // namespace cellsam::test::mask_decoder_factored_program
