// Parity case 06: the detector: its outputs, intermediate tensors and gradients, a batch of mixed sizes with its padding mask,
// and the best detections, with attention by our kernels and by ATen.
#include "model/cellfinder.h"

#include "infer/postprocess.h"
#include "kernels/attention_kernels.h"
#include "native/program.h"
#include "ops/epilogues.h"
#include "parity/network.h"

namespace cellsam::test::cellfinder_program {

namespace {

// The case numbers decoder layers from the first; its plain names are the last layer's.
void check_detections(Case& parity, const model::Detections& out, const std::string& prefix, const Tolerance& tolerance) {
  const auto last = out.logits.size(0) - 1;
  for (std::int64_t i = 0; i <= last; ++i) {
    const auto name = prefix + (i == last ? "" : "aux" + std::to_string(i) + ".");
    if (!parity.has(name + "pred_logits")) continue;
    parity.check(name + "pred_logits", out.logits[i], tolerance);
    parity.check(name + "pred_boxes", out.boxes[i], tolerance);
  }
}

at::Tensor loss_of(const model::Detections& out) {
  auto loss = out.logits[0].square().mean() + out.boxes[0].square().mean();
  for (std::int64_t i = 1; i < out.logits.size(0); ++i)
    loss = loss + out.logits[i].square().mean() + out.boxes[i].square().mean();
  return loss;
}

// Images of different sizes, zero-padded at the bottom and the right: [B,3,S,S] and the mask [B,S,S], true = padded.
std::pair<at::Tensor, at::Tensor> nested(const Case& parity, std::int64_t side) {
  std::vector<at::Tensor> images, masks;
  for (int i = 0; parity.has("mixed.img" + std::to_string(i)); ++i) {
    const auto image = parity.io("mixed.img" + std::to_string(i));
    const std::vector<std::int64_t> pad = {0, side - image.size(2), 0, side - image.size(1)};
    images.push_back(at::constant_pad_nd(image, pad));
    masks.push_back(at::constant_pad_nd(at::zeros({image.size(1), image.size(2)}), pad, 1).to(at::kBool));
  }
  return {at::stack(images), at::stack(masks)};
}

// The best detections of each image, with boxes in pixels of its own size.
void check_ranking(Case& parity, const model::Detections& out, const Tolerance& tolerance) {
  const auto sizes = parity.io("post.target_sizes_hw");
  for (std::int64_t i = 0; i < sizes.size(0); ++i) {
    const auto prefix = "post." + std::to_string(i) + ".";
    const auto best = infer::top_detections(out.logits[-1][i], out.boxes[-1][i], 1);
    const auto height = sizes[i][0], width = sizes[i][1];
    parity.check(prefix + "scores", best.scores, tolerance);
    parity.check(prefix + "labels", best.labels, Tolerance{});
    parity.check(prefix + "boxes", best.boxes * at::stack({width, height, width, height}), tolerance);
  }
}

void compare_once(Case& parity) {
  const auto size = size_of(parity);
  const auto forward = parity.tolerance("pred/act/mixed"), grad = parity.tolerance("grad"), f64 = parity.tolerance("f64.*");
  model::CellFinder net(size);
  load(*net->decode_head, parity.weights());
  const auto x = parity.io("x").clone().requires_grad_(true);

  model::Activations activations;
  const auto features = net->backbone(x);
  const auto out = net->head(features, std::nullopt, &activations);
  parity.check("act.backbone", features, forward);
  for (const auto& [name, tensor] : activations) {
    if (parity.has("act." + name)) parity.check("act." + name, tensor, forward);
  }
  check_detections(parity, out, "", forward);
  const auto loss = loss_of(out);
  parity.check("loss", loss, forward);
  loss.backward();
  check_gradients(parity, *net->decode_head, "grad.", grad);
  parity.check("grad.x", x.grad(), grad);

  activations.clear();
  const auto [images, mask] = nested(parity, size.image_size);
  parity.check("mixed.mask", mask, Tolerance{});
  const auto mixed = net->head(net->backbone(images), mask, &activations);
  for (const auto& [name, tensor] : activations) {
    if (parity.has("mixed." + name)) parity.check("mixed." + name, tensor, forward);
    if (name == "enc" + std::to_string(size.encoder_layers - 1)) parity.check("mixed.enc_last", tensor, forward);
  }
  check_detections(parity, mixed, "mixed.", forward);
  check_ranking(parity, mixed, forward);

  net->to(at::kDouble);
  zero_gradients(*net);
  const auto out64 = net->forward(x.detach().to(at::kDouble));
  check_detections(parity, out64, "f64.", f64);
  const auto loss64 = loss_of(out64);
  parity.check("f64.loss", loss64, f64);
  loss64.backward();
  check_gradients(parity, *net->decode_head, "f64.grad.", f64);
}

void compare(Case& parity) {
  for (const bool fused : {true, false}) {
    kernels::attention::set_enabled(fused);
    ops::fused_epilogues().set(fused);
    compare_once(parity);
  }
}

}  // namespace

TEST_PROGRAM(cellfinder) { return run_case(argc, argv, compare); }

}  // namespace cellsam::test::cellfinder_program
