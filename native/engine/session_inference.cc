// Commands that run the model on an image.
#include "engine/model_session.h"

#include <ATen/ATen.h>

#include "base/tensors.h"
#include "engine/candidates.h"
#include "engine/read_image.h"
#include "infer/box_mask_iou.h"
#include "infer/predict.h"
#include "settings/candidates.h"

namespace cellsam::engine {
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
