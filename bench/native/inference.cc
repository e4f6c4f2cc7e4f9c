// From an image to its label map, on an image in which the detector finds as many cells as the row asks for.
#include "data/preprocess.h"
#include "fixture.h"
#include "infer/detect.h"
#include "infer/predict.h"
#include "row.h"

namespace cellsam::bench {
namespace {

infer::PredictOptions options_with(double threshold) {
  infer::PredictOptions options;
  options.bbox_threshold = threshold;
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
        options_(options_with(read_input(setting.folder, "threshold").item<double>())) {
    read_weights(setting.folder, model_);
    model_->to(setting.device);
    image_ = read_input(setting.folder, "image")[0];
  }

  Dict check() override {
    const auto found = predict();
    return {{"cells", found.scores.size(0)}, {"foreground", found.labels.gt(0).sum().item<std::int64_t>()}};
  }

  void run() override { predict(); }

 private:
  infer::Prediction predict() {
    engine::Autocast autocast(setting_.device, setting_.precision);
    return infer::predict(model_, image_, options_);
  }

  Setting setting_;
  model::CellSam model_;
  infer::PredictOptions options_;
  at::Tensor image_;
};

// Random weights say nothing about cells, so the score threshold is set where the wanted number passes, and every mask is
// taken for a good one.
void write_fixture(const Setting& setting, Options& parameters) {
  at::NoGradGuard no_grad;
  const auto size = read_size(parameters);
  const auto cells = parameters.integer("cells", 100);
  const auto tile = draw_tile(parameters.integer("tile", 512), cells);
  auto model = draw_model(size);
  for (auto& [name, tensor] : model->named_state()) {
    if (name.ends_with("class_embed.0.weight")) tensor.mul_(10);  // scores far enough apart to survive rounding
    if (name.find("iou_prediction_head.layers.2.bias") != std::string::npos) tensor.fill_(1);
  }
  write_weights(setting.folder, model, "");
  const auto scores = infer::detect(model, tile.images[0], options_with(0)).scores;
  const auto threshold = (scores[cells - 1] + scores[cells]) / 2;
  write_inputs(setting.folder,
               {{"image", tile.images},
                {"threshold", threshold.view({1})},
                {"encoder_input", data::encoder_input(tile.images, size.image_size, data::Generation::Plain)},
                {"detector_input", data::detector_input(tile.images, size.image_size, data::Generation::Plain)}});
}

std::unique_ptr<Row> open(const Setting& setting, Options& parameters) {
  const auto size = read_size(parameters);
  for (const char* name : {"tile", "cells"}) parameters.integer(name, 0);
  return std::make_unique<Inference>(setting, size);
}

}  // namespace

std::map<std::string, Maker> inference_rows() { return {{"inference", {write_fixture, open}}}; }

}  // namespace cellsam::bench
