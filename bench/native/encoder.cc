// SAM's image encoder: forward for inference, and forward with backward to every weight.
#include "fixture.h"
#include "optim/clip_grad_norm.h"
#include "row.h"
#include "train/stage.h"

namespace cellsam::bench {
namespace {

const std::string kPrefix = "model.image_encoder.";

class Encoder final : public Row {
 public:
  Encoder(const Setting& setting, const model::ModelSize& size, bool trains)
      : setting_(setting), encoder_(model::ImageEncoder(size, /*with_neck=*/true)), trains_(trains) {
    {
      at::NoGradGuard no_grad;
      auto model = draw_model(size);
      read_weights(setting.folder, model);
      encoder_ = model->model->image_encoder;
    }
    encoder_->to(setting.device);
    group_.name = "encoder";
    for (auto& [name, parameter] : model::unique_parameters(*encoder_)) {
      parameter.set_requires_grad(trains);
      if (trains) group_.parameters.push_back(parameter);
    }
    image_ = read_input(setting.folder, "image").to(setting.device);
    cotangent_ = read_input(setting.folder, "cotangent").to(setting.device);
  }

  Dict check() override {
    const auto value = step();
    if (!trains_) return {{"value", value.item<double>()}};
    return {{"value", value.item<double>()}, {"gradient", optim::clip_grad_norm({group_}, 0).item<double>()}};
  }

  void run() override { step(); }

 private:
  at::Tensor step() {
    at::AutoGradMode mode(trains_);
    for (auto& parameter : group_.parameters) parameter.mutable_grad().reset();
    at::Tensor embedding;
    {
      device::Autocast autocast(setting_.device, setting_.precision);
      embedding = encoder_->forward(image_);
    }
    const auto value = (embedding.to(at::kFloat) * cotangent_).sum();
    if (trains_) value.backward();
    return value;
  }

  Setting setting_;
  model::ImageEncoder encoder_;
  bool trains_;
  optim::ParameterGroup group_;
  at::Tensor image_, cotangent_;
};

// The cotangent leans towards the embedding itself, so that the sum tells a wrong network (near 0) from a rounded one. The rest
// of it is noise: of the embedding alone the neck's layer norm would give a gradient of round-off size.
void write_fixture(const Setting& setting, Options& parameters) {
  const auto size = read_size(parameters);
  parameters.flag("trains", false);
  at::NoGradGuard no_grad;
  auto model = draw_model(size);
  write_weights(setting.folder, model, kPrefix);
  const auto image = at::randn({parameters.integer("batch", 1), 3, size.image_size, size.image_size});
  const auto embedding = model->model->image_encoder->forward(image);
  write_inputs(setting.folder, {{"image", image}, {"cotangent", at::randn_like(embedding) + 0.1 * embedding}});
}

std::unique_ptr<Row> open(const Setting& setting, Options& parameters) {
  const auto size = read_size(parameters);
  parameters.integer("batch", 1);
  return std::make_unique<Encoder>(setting, size, parameters.flag("trains", false));
}

}  // namespace

std::map<std::string, Maker> encoder_rows() { return {{"encoder", {write_fixture, open}}}; }

}  // namespace cellsam::bench
