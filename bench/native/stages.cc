// A training step of either stage on one tile: Stage::train_batch, then clipping and the optimiser, as the trainer runs
// them.
#include "data/preprocess.h"
#include "fixture.h"
#include "optim/clip_grad_norm.h"
#include "optim/optimizer.h"
#include "row.h"
#include "train/stage.h"

namespace cellsam::bench {
namespace {

struct NobodyStops final : Control {
  bool cancelled() const override { return false; }
  bool abandoned() const override { return false; }
  void emit(Value) override {}
};

using OpenStage = std::unique_ptr<train::Stage> (*)(const train::StageContext&, Options&);

class Step final : public Row {
 public:
  Step(const Setting& setting, const model::ModelSize& size, OpenStage open, const Dict& options)
      : model_(draw_model(size)), batch_(read_tile(setting.folder)) {
    read_weights(setting.folder, model_);
    model_->to(setting.device);
    Options read{Value(options), "stage"};
    stage_ = open({model_, data::Preprocessing::Plain, setting.device, setting.precision}, read);
    read.done();
    optimizer_.emplace(stage_->groups());
    // Where features are kept, they are computed here, before the row's peak of memory counts.
    if (options.contains("feature_cache_dir")) stage_->evaluate_batch(batch_, control_);
  }

  Dict check() override {
    const auto losses = stage_->train_batch(batch_, 1.0, {}, control_);
    const auto norm = optim::clip_grad_norm(stage_->groups(), 0);
    optimizer_->zero_grad();
    return {{"value", losses.value()[0].item<double>()}, {"gradient", norm.item<double>()}};
  }

  void run() override {
    stage_->train_batch(batch_, 1.0, {}, control_);
    optim::clip_grad_norm(stage_->groups(), 1.0);
    optimizer_->step(1e-4);
    optimizer_->zero_grad();
  }

 private:
  model::CellSam model_;
  data::Batch batch_;
  std::unique_ptr<train::Stage> stage_;
  std::optional<optim::Optimizer> optimizer_;
  NobodyStops control_;
};

data::Batch draw_tile_for(Options& parameters) {
  return draw_tile(parameters.integer("tile", 512), parameters.integer("cells", 64));
}

// What both stages need of a fixture: the tile, the network's input, and the features of its backbone.
void write_stage_inputs(const std::string& folder, const data::Batch& tile, const at::Tensor& input,
                        const at::Tensor& features) {
  const auto boxes = tile.instances[0].boxes;
  const auto side = tile.labels.size(1);
  write_inputs(folder, {{"image", tile.images},
                        {"labels", tile.labels},
                        {"boxes", boxes},
                        {"normalized_boxes", data::to_normalized(boxes, side, side)},
                        {"input", input},
                        {"features", features.contiguous()}});
}

void write_mask_fixture(const Setting& setting, Options& parameters) {
  at::NoGradGuard no_grad;
  const auto size = read_size(parameters);
  const auto tile = draw_tile_for(parameters);
  parameters.integer("chunk", 0);
  parameters.flag("cached", true);
  auto model = draw_model(size);
  write_weights(setting.folder, model, "model.");
  const auto input = data::encoder_input(tile.images, size.image_size, data::Preprocessing::Plain);
  write_stage_inputs(setting.folder, tile, input, model->model->image_encoder->backbone(input));  // [1,g,g,E]
}

// The row computes them when it is made.
void keep_features(const Setting& setting, Options& parameters, Dict& options) {
  if (parameters.flag("cached", true)) options["feature_cache_dir"] = setting.folder + "/features";
}

std::unique_ptr<Row> open_mask(const Setting& setting, Options& parameters) {
  const auto size = read_size(parameters);
  for (const char* name : {"tile", "cells"}) parameters.integer(name, 0);
  Dict options;
  keep_features(setting, parameters, options);
  if (const auto chunk = parameters.integer("chunk", 0); chunk > 0) options["prompt_chunk"] = chunk;
  return std::make_unique<Step>(setting, size, train::open_mask_stage, options);
}

void write_detector_fixture(const Setting& setting, Options& parameters) {
  at::NoGradGuard no_grad;
  const auto size = read_size(parameters);
  const auto tile = draw_tile_for(parameters);
  for (const char* name : {"cached", "trains_trunk"}) parameters.flag(name, false);
  auto model = draw_model(size);
  write_weights(setting.folder, model, "cellfinder.");
  const auto input = data::detector_input(tile.images, size.image_size, data::Preprocessing::Plain);
  write_stage_inputs(setting.folder, tile, input, model->cellfinder->backbone(input));  // [1,E,g,g]
}

std::unique_ptr<Row> open_detector(const Setting& setting, Options& parameters) {
  const auto size = read_size(parameters);
  for (const char* name : {"tile", "cells"}) parameters.integer(name, 0);
  Dict options{{"freeze_backbone", !parameters.flag("trains_trunk", false)}};
  keep_features(setting, parameters, options);
  return std::make_unique<Step>(setting, size, train::open_detector_stage, options);
}

}  // namespace

std::map<std::string, Maker> stage_rows() {
  return {{"stage1", {write_detector_fixture, open_detector}}, {"stage2", {write_mask_fixture, open_mask}}};
}

}  // namespace cellsam::bench
