// Parity case 01: the vision transformer and its neck: outputs, intermediate tensors and gradients, and a padded non-square
// image; with our attention kernel and without.
#include "model/image_encoder.h"

#include "native/program.h"
#include "ops/epilogues.h"
#include "ops/grid_attention.h"
#include "parity/network.h"
#include "parity/pil_resize.h"

namespace cellsam::test::image_encoder_program {

namespace {

// SAM's own preprocessing: normalise on the 0..255 scale, then pad with zeros to a square.
at::Tensor preprocess(const at::Tensor& image_u8, std::int64_t side) {  // [h,w,3] -> [3,side,side]
  const auto mean = at::tensor({123.675, 116.28, 103.53}), std = at::tensor({58.395, 57.12, 57.375});
  const auto x = ((image_u8.to(at::kDouble) - mean) / std).permute({2, 0, 1}).to(at::kFloat);
  return at::constant_pad_nd(x, {0, side - x.size(2), 0, side - x.size(1)});
}

// The case has the output of attention with the padded tokens of windows; we compute only those of the image.
at::Tensor map_of(const at::Tensor& expected, const at::Tensor& got) {
  if (expected.sizes() == got.sizes()) return expected;
  const auto window = expected.size(1), grid = got.size(1), count = (grid + window - 1) / window;
  return expected.view({got.size(0), count, count, window, window, -1})
      .transpose(2, 3)
      .reshape({got.size(0), count * window, count * window, -1})
      .slice(1, 0, grid)
      .slice(2, 0, grid);
}

void compare_encoder(Case& parity) {
  const auto size = size_of(parity);
  const auto forward = parity.tolerance("embedding/act"), grad = parity.tolerance("grad"), f64 = parity.tolerance("f64.*");
  model::ImageEncoder net(size, true);
  load(*net, parity.weights());
  const auto x = parity.io("x").clone().requires_grad_(true), lin = parity.io("lin");

  model::Activations activations;
  const auto embedding = net->neck(net->backbone(x, &activations), &activations);
  for (const auto& [name, tensor] : activations)
    parity.check("act." + name, tensor, map_of(parity.io("act." + name), tensor), forward);
  parity.check("embedding", embedding, forward);
  parity.check("forward = neck of the backbone", net->forward(x), embedding, 0, 0);
  const auto msq = embedding.square().mean(), linear = (embedding * lin).mean();
  parity.check("loss_msq", msq, forward);
  parity.check("loss_lin", linear, forward);
  msq.backward({}, true);
  check_gradients(parity, *net, "grad_msq.", grad);
  parity.check("grad_msq.x", x.grad(), grad);
  zero_gradients(*net);
  linear.backward();
  check_gradients(parity, *net, "grad_lin.", grad);

  const auto resized = pil_resize_bilinear(parity.io("padded.image_u8"), parity.io("padded.resized_u8").size(0),
                                           parity.io("padded.resized_u8").size(1));
  parity.check("padded.resized_u8", resized, Tolerance{});
  const auto preprocessed = preprocess(resized, size.image_size);
  parity.check("padded.preprocessed", preprocessed, parity.tolerance("padded.preprocessed"));
  zero_gradients(*net);
  const auto padded = net->forward(preprocessed.unsqueeze(0));
  parity.check("padded.embedding", padded, forward);
  const auto padded_loss = padded.square().mean();
  parity.check("padded.loss_msq", padded_loss, forward);
  padded_loss.backward();
  check_gradients(parity, *net, "padded.grad_msq.", grad);

  net->to(at::kDouble);
  zero_gradients(*net);
  const auto embedding64 = net->forward(x.detach().to(at::kDouble));
  parity.check("f64.embedding", embedding64, f64);
  parity.check("f64.loss_msq", embedding64.square().mean(), f64);
  const auto linear64 = (embedding64 * lin.to(at::kDouble)).mean();
  parity.check("f64.loss_lin", linear64, f64);
  linear64.backward();
  check_gradients(parity, *net, "f64.grad_lin.", f64);
}

void compare(Case& parity) {
  for (const bool kernel : {true, false}) {
    ops::grid_attention_kernel().set(kernel);
    ops::fused_epilogues().set(kernel);
    compare_encoder(parity);
  }
}

}  // namespace

TEST_PROGRAM(image_encoder) { return run_case(argc, argv, compare); }

}  // namespace cellsam::test::image_encoder_program
