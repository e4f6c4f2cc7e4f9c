// Case 11: a small CellSAM from prepared image to label map, with and without model_cp, with the user's boxes and without
// normalisation. Every step is compared, computed from our own result of the step before.
#include "infer/bit_mask.h"
#include "infer/detect.h"
#include "infer/mask_predictor.h"
#include "infer/postprocess.h"
#include "infer/predict.h"

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "native/postprocess_masks.h"
#include "native/program.h"
#include "parity/network.h"

namespace cellsam::test::full_inference_program {

namespace {

// The fraction of pixels that may differ in a label map; case.json describes it.
constexpr double kLabelShare = 0.002;

// "img0.adv": the image and the variant.
struct Variant {
  Case& parity;
  std::string name;
  Tolerance tolerance = parity.tolerance("tensors before thresholds");

  std::string image_name() const { return name.substr(0, name.find('.')); }
  bool is(const std::string& part) const { return name.find(part) != std::string::npos; }
  at::Tensor io(const std::string& tensor) const { return parity.io(name + "." + tensor); }

  void check(const std::string& tensor, const at::Tensor& got) const { check(tensor, got, tolerance); }
  void check(const std::string& tensor, const at::Tensor& got, const Tolerance& limit) const {
    if (parity.has(name + "." + tensor)) parity.check(name + "." + tensor, got, limit);
  }
  void check_labels(const std::string& tensor, const at::Tensor& got) const {
    const auto expected = io(tensor);
    const auto full = name + "." + tensor;
    parity.report(full + ".count", std::abs(got.max().item<double>() - expected.max().item<double>()), 0);
    parity.report(full, got.ne(expected).to(at::kDouble).mean().item<double>(), kLabelShare);
  }

  // f32 [3,H,W]: what the official pipeline passes to the networks.
  at::Tensor image() const {
    if (is("nonorm")) return parity.io(image_name() + ".u8_hwc").permute({2, 0, 1}).to(at::kFloat) / 255;
    return parity.io(image_name() + ".adv.chw");
  }
};

void check_detector(const Variant& variant, model::CellSam& model, const infer::PredictOptions& options) {
  const auto size = model->size().image_size;
  const auto input = data::detector_input(variant.image().unsqueeze(0), size, options.preprocessing);
  const auto detections = model->cellfinder->forward(input);
  variant.check("pred_logits", detections.logits[-1]);
  variant.check("pred_boxes", detections.boxes[-1]);
  const auto top = infer::top_detections(detections.logits[-1][0], detections.boxes[-1][0], size);
  variant.check("topk_scores", top.scores);
  variant.check("topk_labels", top.labels, {});
  variant.check("topk_boxes", top.boxes);
  const auto found = infer::detect(model, variant.image().unsqueeze(0), options)[0];
  variant.parity.check(variant.name + ".threshold", found.threshold, variant.io("threshold").item<double>(), 0,
                       variant.parity.tolerance("threshold").atol);
  variant.check("boxes_model_frame", found.boxes * infer::model_scale(variant.image(), size));
}

void check_mask_model(const Variant& variant, model::CellSam& model, const infer::PredictOptions& options,
                      const std::optional<at::Tensor>& user_boxes) {
  const auto image = variant.image();
  const auto size = model->size().image_size;
  auto& mask_model = model->mask_model();
  const auto embedding =
      mask_model->image_encoder->forward(data::encoder_input(image.unsqueeze(0), size, options.preprocessing));
  const auto boxes = user_boxes ? *user_boxes : infer::detect(model, image.unsqueeze(0), options)[0].boxes;
  const auto model_boxes = (boxes * infer::model_scale(image, size)).to(at::kFloat);
  const auto prompts = mask_model->prompt_encoder->forward(std::nullopt, std::nullopt, model_boxes, std::nullopt);
  const auto masks = mask_model->mask_decoder->forward(embedding, mask_model->prompt_encoder->dense_pe(), prompts.sparse,
                                                       prompts.dense, false);
  variant.check("embedding", embedding);
  variant.check("sparse", prompts.sparse);
  variant.check("low_res", masks.logits);
  variant.check("iou", masks.iou);
  const auto full = postprocess_masks(masks.logits, size, {size, size}, {image.size(1), image.size(2)});
  variant.check("mask_logits_orig", full.squeeze(1));

  std::vector<infer::Instance> instances;
  infer::MaskPredictor(model, image.unsqueeze(0), options)
      .predict({boxes}, options.iou_threshold, {},
               [&](std::size_t, infer::Instance instance) { instances.push_back(std::move(instance)); });
  auto labels = at::zeros({image.size(1), image.size(2)}, at::kInt);
  auto final_boxes = at::zeros({static_cast<std::int64_t>(instances.size()), 4}, at::kDouble);
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const auto [window, bits] = infer::to_bits(instances[i].mask);
    const auto inside = at::tensor(at::ArrayRef<std::uint8_t>(bits), at::kByte).view({window.height, window.width});
    labels.narrow(0, window.y, window.height)
        .narrow(1, window.x, window.width)
        .masked_fill_(inside.to(at::kBool), static_cast<std::int64_t>(i) + 1);
    for (int side = 0; side < 4; ++side) final_boxes[static_cast<std::int64_t>(i)][side] = instances[i].box[side];
  }
  variant.check_labels("label_raw", labels);
  variant.check("final_boxes", final_boxes, variant.parity.tolerance("final_boxes"));
}

void check_variant(const Variant& variant, model::CellSam& model) {
  at::NoGradGuard no_grad;
  infer::PredictOptions options;
  options.overlap = infer::OverlapRule::Official;
  options.preprocessing = variant.is("plain") ? data::Preprocessing::Plain : data::Preprocessing::Adv;
  const auto tiles = variant.image().unsqueeze(0);
  const auto size = model->size().image_size;
  variant.check("enc_input", data::encoder_input(tiles, size, options.preprocessing)[0]);
  variant.check("det_input", data::detector_input(tiles, size, options.preprocessing)[0]);

  std::optional<at::Tensor> user_boxes;
  if (variant.is("userbox")) user_boxes = variant.io("user_boxes").to(at::kDouble);
  if (!user_boxes) check_detector(variant, model, options);
  check_mask_model(variant, model, options, user_boxes);

  options.prompt_chunk = 3;  // the last, shorter chunk must have no effect
  const auto prediction = infer::predict(model, variant.image(), options, user_boxes);
  variant.check_labels("label_final", prediction.labels);
  options.remove_boundaries = true;
  variant.check_labels("label_final_noboundary", infer::predict(model, variant.image(), options, user_boxes).labels);
}

void inference_case(Case& parity) {
  const auto size = size_of(parity);
  model::CellSam adv(size, true), plain(size, false);
  TensorMap weights;
  for (const auto& [name, tensor] : parity.weights()) {
    if (!name.starts_with("model_cp.")) weights[name] = tensor;
  }
  load(*adv, parity.weights());
  load(*plain, weights);
  for (const auto& name : parity.names("img")) {
    const auto end = name.rfind(".label_raw");
    if (end == std::string::npos) continue;
    const Variant variant{parity, name.substr(0, end)};
    check_variant(variant, variant.is("plain") ? plain : adv);
  }
}

}  // namespace

TEST_PROGRAM(full_inference) { return run_case(argc, argv, inference_case); }

}  // namespace cellsam::test::full_inference_program
