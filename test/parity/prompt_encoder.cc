// Parity case 02: every combination of points, boxes and masks, the dense positions, and gradients of three of them.
#include "model/prompt_encoder.h"

#include "native/program.h"
#include "parity/network.h"

namespace cellsam::test::prompt_encoder_program {

namespace {

void compare(Case& parity) {
  using Maybe = std::optional<at::Tensor>;
  const auto plain = parity.tolerance("default"), coordinates = parity.tolerance("sparse from coordinates");
  model::PromptEncoder net(size_of(parity));
  load(*net, parity.weights());
  const auto points = parity.io("points"), labels = parity.io("labels"), boxes = parity.io("boxes"), masks = parity.io("masks");

  parity.check("dense_pe", net->dense_pe(), plain);
  // There are fewer points than boxes and masks: a variant with points takes as many of the others.
  const auto some = [&](const at::Tensor& all) { return all.slice(0, 0, points.size(0)); };
  const std::map<std::string, std::vector<Maybe>> variants = {
      {"boxes", {{}, {}, boxes, {}}},
      {"points", {points, labels, {}, {}}},
      {"points_boxes", {points, labels, some(boxes), {}}},
      {"masks", {{}, {}, {}, masks}},
      {"boxes_masks", {{}, {}, boxes, masks}},
      {"points_masks", {points, labels, {}, some(masks)}},
      {"none", {{}, {}, {}, {}}},
      {"all", {points, labels, some(boxes), some(masks)}},
      {"box_1_1_4", {{}, {}, boxes.slice(0, 0, 1).reshape({1, 1, 4}), {}}}};
  for (const auto& [name, prompt] : variants) {
    zero_gradients(*net);
    const auto out = net->forward(prompt[0], prompt[1], prompt[2], prompt[3]);
    parity.check(name + ".sparse", out.sparse, coordinates);
    parity.check(name + ".dense", out.dense, plain);
    if (!parity.has(name + ".loss")) continue;
    const auto loss = out.sparse.square().mean() + out.dense.square().mean();
    parity.check(name + ".loss", loss, plain);
    loss.backward();
    check_gradients(parity, *net, name + ".grad.", parity.tolerance("grad"));
  }
}

}  // namespace

TEST_PROGRAM(prompt_encoder) { return run_case(argc, argv, compare); }

}  // namespace cellsam::test::prompt_encoder_program
