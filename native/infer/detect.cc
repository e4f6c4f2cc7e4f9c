#include "infer/detect.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "infer/postprocess.h"
#include "infer/threshold.h"

namespace cellsam::infer {

DetectedBoxes detect(model::CellSam& model, const at::Tensor& image, const PredictOptions& options) {
  c10::NoGradGuard no_grad;
  check_image(image);
  const auto size = model->size().image_size;
  const auto tile = image.unsqueeze(0).to(device_of(model));
  const auto answer = model->cellfinder->forward(data::detector_input(tile, size, options.generation));
  const auto logits = answer.logits.back()[0].to(at::kFloat), boxes = answer.boxes.back()[0].to(at::kFloat);
  require_finite(logits, "detection scores");
  require_finite(boxes, "detection boxes");

  const auto top = top_detections(logits, boxes, size);
  const auto scores = top.scores.to(at::kCPU);
  const double threshold =
      options.adaptive_threshold ? score_threshold(scores, options.bbox_threshold) : options.bbox_threshold;
  const auto passed = scores.to(at::kDouble).gt(threshold).sum().item<std::int64_t>();  // scores fall, so these come first
  const auto best = top.boxes.narrow(0, 0, passed).to(at::kCPU, at::kDouble);
  const auto kept = suppress_boxes(best, options.nms_iou);
  return {best.index_select(0, kept) / model_scale(image, size), scores.index_select(0, kept), threshold};
}

}  // namespace cellsam::infer
