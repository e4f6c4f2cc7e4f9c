// From an image to its label map, on an image in which the detector finds as many cells as the row asks for.
#include "data/preprocess.h"
#include "fixture.h"
#include "infer/detect.h"
#include "infer/postprocess.h"
#include "infer/predict.h"
#include "row.h"

namespace cellsam::bench {
namespace {

constexpr double kCellFraction = 0.02;  // of the pixels of an image that one mask covers

infer::PredictOptions options_with(double threshold, double mask_threshold) {
  infer::PredictOptions options;
  options.bbox_threshold = threshold;
  options.mask_threshold = mask_threshold;
  options.adaptive_threshold = false;
  options.overlap = infer::OverlapRule::Official;
  options.min_area = 0;
  return options;
}

class Inference final : public Row {
 public:
  Inference(const Setting& setting, const model::ModelSize& size)
      : setting_(setting),
        model_(draw_model(size)),
        options_(options_with(read_input(setting.folder, "threshold").item<double>(),
                              read_input(setting.folder, "mask_threshold").item<double>())) {
    read_weights(setting.folder, model_);
    model_->to(setting.device);
    for (auto& parameter : model_->parameters()) parameter.set_requires_grad(false);  // as in a session that trains nothing
    image_ = read_input(setting.folder, "image")[0];
  }

  Dict check() override { return {{"foreground", predict().labels.gt(0).sum().item<std::int64_t>()}}; }

  void run() override { predict(); }

 private:
  infer::Prediction predict() {
    device::Autocast autocast(setting_.device, setting_.precision);
    return infer::predict(model_, image_, options_);
  }

  Setting setting_;
  model::CellSam model_;
  infer::PredictOptions options_;
  at::Tensor image_;
};

// The probability that the given fraction of a box's mask exceeds.
at::Tensor mask_threshold_for(model::CellSam& model, const at::Tensor& encoder_input, const at::Tensor& box, std::int64_t side,
                              double fraction) {
  auto& sam = model->model;
  const auto canvas = encoder_input.size(3);
  const auto prompt = sam->prompt_encoder->forward(std::nullopt, std::nullopt, box.to(at::kFloat).view({1, 4}), std::nullopt);
  const auto masks = sam->mask_decoder->forward(sam->image_encoder->forward(encoder_input), sam->prompt_encoder->dense_pe(),
                                                prompt.sparse, prompt.dense, false);
  const auto full = infer::postprocess_masks(masks.logits, canvas, {canvas, canvas}, {side, side}).sigmoid().flatten();
  return std::get<0>(full.sort())[static_cast<std::int64_t>(static_cast<double>(full.numel()) * (1 - fraction))].view({1});
}

// Random weights say nothing about cells, so the thresholds are set where the wanted number of boxes and a cell's fraction of a
// mask pass, and every mask is taken for a good one.
void write_fixture(const Setting& setting, Options& parameters) {
  at::NoGradGuard no_grad;
  const auto size = read_size(parameters);
  const auto cells = parameters.integer("cells", 100);
  const auto tile = draw_tile(parameters.integer("tile", 512), cells);
  auto model = draw_model(size);
  for (auto& [name, tensor] : model->state_dict()) {
    if (name.ends_with("class_embed.0.weight")) tensor.mul_(10);  // scores far enough apart to survive rounding
    if (name.find("iou_prediction_head.layers.2.bias") != std::string::npos) tensor.fill_(1);
  }
  write_weights(setting.folder, model, "");
  const auto found = infer::detect(model, tile.images[0], options_with(0, 0.5));
  const auto threshold = (found.scores[cells - 1] + found.scores[cells]) / 2;
  const auto encoder_input = data::encoder_input(tile.images, size.image_size, data::Preprocessing::Plain);
  const auto side = tile.labels.size(1);
  const auto box = found.boxes[0] * (static_cast<double>(size.image_size) / static_cast<double>(side));
  const auto mask_threshold = mask_threshold_for(model, encoder_input, box, side, kCellFraction);
  write_inputs(setting.folder,
               {{"image", tile.images},
                {"threshold", threshold.view({1})},
                {"mask_threshold", mask_threshold},
                {"encoder_input", encoder_input},
                {"detector_input", data::detector_input(tile.images, size.image_size, data::Preprocessing::Plain)}});
}

std::unique_ptr<Row> open(const Setting& setting, Options& parameters) {
  const auto size = read_size(parameters);
  for (const char* name : {"tile", "cells"}) parameters.integer(name, 0);
  return std::make_unique<Inference>(setting, size);
}

}  // namespace

std::map<std::string, Maker> inference_rows() { return {{"inference", {write_fixture, open}}}; }

}  // namespace cellsam::bench
