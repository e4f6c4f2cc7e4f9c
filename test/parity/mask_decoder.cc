// Parity case 03: the mask decoder for one mask and several, its transformer's layers, and all gradients in both precisions.
#include "model/mask_decoder.h"

#include "native/program.h"
#include "parity/network.h"

namespace cellsam::test::mask_decoder_program {

namespace {

struct Inputs {
  at::Tensor embeddings, position, sparse, dense;
};

// The bias of the keys shifts all scores of a query alike, so its gradient is exactly zero: the reference has rounding noise
// there, and a tolerance relative to noise is meaningless. Ours must be zero within the noise that the case states.
void check_vanishing(Case& parity, const std::string& name, const at::Tensor& got) {
  const auto& measured = field(field(parity.info(), "fp32_noise"), "grad_multi");
  const double noise = got.scalar_type() == at::kDouble ? 1e-15 : number(measured, "max_abs");
  parity.check(name, got, at::zeros_like(parity.io(name)), 0, noise);
}

// The loss of the case for one mask or several; `prefix` is "single." or "multi.", after "f64." for float64.
void compare_variant(Case& parity, model::MaskDecoder& net, const Inputs& io, const std::string& prefix, bool multimask,
                     const Tolerance& forward, const Tolerance& grad) {
  zero_gradients(*net);
  std::map<std::string, at::Tensor> leaves;
  const auto leaf = [&](const std::string& name, const at::Tensor& tensor) {
    return leaves[name] = tensor.detach().clone().requires_grad_(true);
  };
  const auto embeddings = leaf("image_embeddings", io.embeddings), sparse = leaf("sparse", io.sparse);
  const auto dense = leaf("dense", io.dense), position = leaf("image_pe", io.position);
  const auto out = net->forward(embeddings, position, sparse, dense, multimask);
  parity.check(prefix + "masks", out.logits, forward);
  parity.check(prefix + "iou", out.iou, forward);
  const auto loss = out.logits.square().mean() + out.iou.square().mean();
  parity.check(prefix + "loss", loss, forward);
  loss.backward();
  if (!parity.has(prefix + "grad.iou_token.weight")) return;
  for (const auto& [name, parameter] : model::unique_parameters(*net)) {
    if (name.ends_with("k_proj.bias")) {
      check_vanishing(parity, prefix + "grad." + name, parameter.grad());
    } else {
      parity.check(prefix + "grad." + name, gradient_of(parameter), grad);
    }
  }
  for (const auto& [name, tensor] : leaves) {
    if (parity.has(prefix + "grad." + name)) parity.check(prefix + "grad." + name, tensor.grad(), grad);
  }
}

void compare(Case& parity) {
  const auto size = size_of(parity);
  const auto forward = parity.tolerance("masks/iou/act"), grad = parity.tolerance("grad"), f64 = parity.tolerance("f64.*");
  const auto all = size.num_multimask + 1;
  model::MaskDecoder net(size);
  load(*net, parity.weights());
  Inputs io{parity.io("image_embeddings"), parity.io("image_pe"), parity.io("sparse"), parity.io("dense")};

  model::Activations activations;
  const auto masks = net->predict_masks(io.embeddings, io.position, io.sparse, io.dense, 0, all, &activations);
  for (const auto& [name, tensor] : activations) parity.check("act." + name, tensor, forward);
  parity.check("all_masks", masks.logits, forward);
  parity.check("all_iou", masks.iou, forward);
  const auto repeated = net->predict_masks(io.embeddings.expand_as(io.dense), io.position, io.sparse, io.dense, 0, all);
  parity.check("an image for each prompt", repeated.logits, masks.logits, forward);
  const auto bare =
      net->forward(io.embeddings, io.position, io.sparse.slice(0, 0, 2).slice(1, 0, 0), io.dense.slice(0, 0, 2), true);
  parity.check("nosparse.masks", bare.logits, forward);
  parity.check("nosparse.iou", bare.iou, forward);
  compare_variant(parity, net, io, "single.", false, forward, grad);
  compare_variant(parity, net, io, "multi.", true, forward, grad);

  net->to(at::kDouble);
  for (auto* tensor : {&io.embeddings, &io.position, &io.sparse, &io.dense}) *tensor = tensor->to(at::kDouble);
  const auto masks64 = net->predict_masks(io.embeddings, io.position, io.sparse, io.dense, 0, all);
  parity.check("f64.all_masks", masks64.logits, f64);
  parity.check("f64.all_iou", masks64.iou, f64);
  compare_variant(parity, net, io, "f64.single.", false, f64, f64);
  compare_variant(parity, net, io, "f64.multi.", true, f64, f64);
}

}  // namespace

TEST_PROGRAM(mask_decoder) { return run_case(argc, argv, compare); }

}  // namespace cellsam::test::mask_decoder_program
