// The native half of prompts_python.py: `prompts_python_bridge FILE` answers prompts of every kind on a tile that is not
// square, and writes them with the answers, the weights and the embedding to FILE.
#include <ATen/ATen.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "data/preprocess.h"
#include "infer/mask_predictor.h"
#include "model/state_dict.h"
#include "native/program.h"
#include "native/small_model.h"
#include "weights/safetensors.h"

namespace cellsam::test::prompts_python_bridge_program {

using namespace cellsam::infer;

namespace {

constexpr std::int64_t kHeight = 40, kWidth = 56;

struct NamedPrompt {
  std::string name;
  Prompt prompt;
};

// mask: an answer to an earlier prompt.
std::vector<NamedPrompt> prompts_of(const at::Tensor& mask) {
  const std::vector<Point> one{{20.5, 13.5, true}}, three{{20.5, 13.5, true}, {24, 17, true}, {3.25, 38, false}};
  const std::array<double, 4> box{11, 7, 33.5, 29};
  return {{"one_point", {one, {}, {}, false}},          {"one_point_best_of_three", {one, {}, {}, true}},
          {"points", {three, {}, {}, false}},           {"box", {{}, box, {}, false}},
          {"points_and_box", {three, box, {}, false}},  {"mask", {{}, {}, mask, false}},
          {"points_and_mask", {three, {}, mask, true}}, {"all", {three, box, mask, false}}};
}

at::Tensor pixels_of(const Mask& mask) {
  auto pixels = at::zeros({kHeight, kWidth}, at::kByte);
  for (const auto& run : mask.runs) pixels[run.y].slice(0, run.x, run.end).fill_(1);
  return pixels;
}

// The prompt and its answer.
void add(weights::TensorMap& out, const std::string& name, const Prompt& prompt, const PromptedMask& answer) {
  const auto add_one = [&](const char* what, const at::Tensor& tensor) {
    out.emplace_back("case." + name + "." + what, tensor.contiguous());
  };
  if (!prompt.points.empty()) {
    const auto count = std::ssize(prompt.points);
    auto points = at::empty({count, 2}, at::kDouble), labels = at::empty({count}, at::kLong);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto& point = prompt.points[static_cast<std::size_t>(i)];
      points[i][0] = point.x;
      points[i][1] = point.y;
      labels[i] = point.on_cell ? 1 : 0;
    }
    add_one("points", points);
    add_one("labels", labels);
  }
  if (prompt.box) add_one("box", at::tensor(at::ArrayRef<double>(*prompt.box), at::kDouble));
  if (prompt.mask.defined()) add_one("mask", prompt.mask);
  add_one("multimask", at::scalar_tensor(prompt.multimask ? 1 : 0, at::kLong));
  add_one("logits", answer.logits);
  add_one("iou", at::scalar_tensor(answer.iou, at::kDouble));
  add_one("pixels", pixels_of(answer.mask));
}

}  // namespace

TEST_PROGRAM(prompts_python_bridge) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: prompts_python_bridge FILE\n");
    return 2;
  }
  at::NoGradGuard no_grad;
  auto model = small_model(7);
  model->eval();
  auto& sam = model->mask_model();
  const auto tile = at::rand({1, 3, kHeight, kWidth});
  const auto embedding =
      sam->image_encoder->forward(data::encoder_input(tile, model->size().image_size, data::Preprocessing::Plain));

  weights::TensorMap out;
  for (const auto& [name, tensor] : model::state_dict(*sam)) {
    if (!name.starts_with("image_encoder.")) out.emplace_back(name, tensor.contiguous());
  }
  out.emplace_back("embedding", embedding.contiguous());
  PredictOptions options;
  // Among the logits of random weights, so that masks have an edge.
  const auto first = MaskPredictor(model, tile, options).segment(0, {.points = {{20.5, 13.5, true}}});
  options.mask_threshold = first.logits.median().sigmoid().item<double>();
  out.emplace_back("settings", at::tensor({static_cast<double>(kHeight), static_cast<double>(kWidth),
                                           static_cast<double>(model->size().image_size),
                                           static_cast<double>(model->size().decoder_heads), options.mask_threshold},
                                          at::kDouble));
  for (const bool factored : {false, true}) {
    options.factored_decoder = factored;
    const MaskPredictor predictor(model, tile, options);
    for (const auto& [name, prompt] : prompts_of(first.logits)) {
      add(out, name + (factored ? "_factored" : ""), prompt, predictor.segment(0, prompt));
    }
  }
  weights::write_safetensors(argv[1], out);
  return 0;
}

}  // namespace cellsam::test::prompts_python_bridge_program
