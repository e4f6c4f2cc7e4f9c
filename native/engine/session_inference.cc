// Commands that run the model on an image.
#include "engine/model_session.h"

#include <ATen/ATen.h>

#include "base/stop_if_abandoned.h"
#include "base/tensors.h"
#include "data/normalize.h"
#include "data/prepare_options.h"
#include "engine/candidates.h"
#include "infer/box_mask_iou.h"
#include "infer/predict.h"
#include "settings/candidates.h"

namespace cellsam::engine {
namespace {

// For the places inside an inference that may end it.
infer::Cancelled cancelled_by(const Control& control) {
  return [&control] {
    stop_if_abandoned(control);
    return control.cancelled();
  };
}

// u8 [3,H,W], prepared exactly as the store prepares training images.
at::Tensor read_image(Options& options) {
  const auto prepare = data::read_prepare_options(options);
  return data::prepare_image(options.require_array("image"), prepare);
}

}  // namespace

infer::PredictOptions ModelSession::read_predict_options(Options& options) {
  auto read = infer::read_predict_options(options);
  options.done();
  read.preprocessing = preprocessing();
  read.limits = batch_limits_;
  return read;
}

Value ModelSession::concurrency(Options& options, Control&) {
  options.done();
  return workers_ ? workers_->most() : 1;
}

infer::Each ModelSession::each_tile() {
  if (!workers_) return {};
  return [this](std::int64_t count, const std::function<void(std::int64_t)>& body) {
    workers_->for_each(count, [&](std::int64_t tile) {  // on a thread to which torch's guards of the command do not apply
      at::NoGradGuard no_grad;
      device::Autocast autocast(device_, precision_);
      body(tile);
    });
  };
}

Value ModelSession::predict(Options& options, Control& control) {
  const auto image = read_image(options);
  const auto* boxes = options.array("boxes");
  const auto predict_options = read_predict_options(options);
  at::NoGradGuard no_grad;
  device::Autocast autocast(device_, precision_);
  const auto given = boxes != nullptr ? std::optional(to_tensor(*boxes).to(at::kFloat)) : std::nullopt;
  const auto prediction = infer::predict(model_, image, predict_options, given, cancelled_by(control), each_tile());
  return to_value(prediction);
}

Value ModelSession::candidates(Options& options, Control& control) {
  const auto image = read_image(options);
  infer::CandidateLimits limits;
  limits.floor = options.read(setting::candidates::floor);
  limits.most = options.read(setting::candidates::max_candidates);
  const auto predict_options = read_predict_options(options);
  at::NoGradGuard no_grad;
  device::Autocast autocast(device_, precision_);
  return to_value(infer::find_candidates(model_, image, predict_options, limits, cancelled_by(control), each_tile()));
}

Value ModelSession::prompt_iou(Options& options, Control& control) {
  const auto image = read_image(options);
  const auto labels = to_tensor(options.require_array("labels")).to(at::kInt);
  const auto predict_options = read_predict_options(options);
  at::NoGradGuard no_grad;
  device::Autocast autocast(device_, precision_);
  const auto result = infer::box_mask_iou(model_, image, labels, predict_options, cancelled_by(control), each_tile());
  return Dict{{"ids", to_array(result.ids)}, {"ious", to_array(result.ious.to(at::kDouble))}};
}

}  // namespace cellsam::engine
