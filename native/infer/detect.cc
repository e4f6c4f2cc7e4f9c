#include "infer/detect.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "infer/postprocess.h"
#include "infer/threshold.h"

namespace cellsam::infer {

DetectedBoxes detect(model::CellSam& model, const at::Tensor& image, const PredictOptions& options,
                     const CandidateLimits& limits) {
  c10::NoGradGuard no_grad;
  check_image(image);
  const auto size = model->size().image_size;
  const auto tile = image.unsqueeze(0).to(device_of(model));
  const auto detections = model->cellfinder->forward(data::detector_input(tile, size, options.preprocessing));
  const auto logits = detections.logits.back()[0].to(at::kFloat), boxes = detections.boxes.back()[0].to(at::kFloat);
  require_finite(logits, "detection scores");
  require_finite(boxes, "detection boxes");

  const auto top = top_detections(logits, boxes, size);
  const auto scores = top.scores.to(at::kCPU);
  const double threshold =
      options.adaptive_threshold ? score_threshold(scores, options.bbox_threshold) : options.bbox_threshold;
  const auto above = [exact = scores.to(at::kDouble)](double score) { return exact.gt(score).sum().item<std::int64_t>(); };
  const auto wanted = above(std::min(limits.floor, threshold));
  const auto passed = std::min(wanted, std::max(above(threshold), limits.most));  // the first ones, as scores are sorted
  const double floor = passed < wanted ? scores[passed].item<double>() : std::min(limits.floor, threshold);
  const auto best = top.boxes.narrow(0, 0, passed).to(at::kCPU, at::kDouble);
  const auto kept = suppress_boxes(best, options.nms_iou);
  return {best.index_select(0, kept) / model_scale(image, size), scores.index_select(0, kept), threshold, floor};
}

}  // namespace cellsam::infer
