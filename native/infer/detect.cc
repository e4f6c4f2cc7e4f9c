#include "infer/detect.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "base/fetch.h"
#include "infer/postprocess.h"
#include "infer/threshold.h"

namespace cellsam::infer {
namespace {

// Of one tile: the best of its boxes, which are in pixels of the model's input.
DetectedBoxes choose(const TopDetections& top, const PredictOptions& options, const CandidateLimits& limits) {
  const auto& scores = top.scores;
  const double threshold =
      options.adaptive_threshold ? score_threshold(scores, options.bbox_threshold) : options.bbox_threshold;
  const auto above = [exact = scores.to(at::kDouble)](double score) { return exact.gt(score).sum().item<std::int64_t>(); };
  const auto wanted = above(std::min(limits.floor, threshold));
  const auto passed = std::min(wanted, std::max(above(threshold), limits.most));  // the first ones, as scores are sorted
  const double floor = passed < wanted ? scores[passed].item<double>() : std::min(limits.floor, threshold);
  const auto best = top.boxes.narrow(0, 0, passed).to(at::kDouble);
  const auto kept = suppress_boxes(best, options.nms_iou);
  return {best.index_select(0, kept), scores.index_select(0, kept), threshold, floor};
}

}  // namespace

std::vector<DetectedBoxes> detect(model::CellSam& model, const at::Tensor& tiles, const PredictOptions& options,
                                  const CandidateLimits& limits) {
  c10::NoGradGuard no_grad;
  const auto size = model->size().image_size;
  const auto detections = model->cellfinder->forward(data::detector_input(tiles, size, options.preprocessing));
  auto logits = fetch(detections.logits[-1]), boxes = fetch(detections.boxes[-1]);
  wait_for(tiles.device());
  logits = logits.to(at::kFloat), boxes = boxes.to(at::kFloat);
  require_finite(logits, "detection scores");
  require_finite(boxes, "detection boxes");

  const auto scale = model_scale(tiles, size);
  std::vector<DetectedBoxes> found;
  for (std::int64_t i = 0; i < tiles.size(0); ++i) {
    auto& of_tile = found.emplace_back(choose(top_detections(logits[i], boxes[i], size), options, limits));
    of_tile.boxes = of_tile.boxes / scale;
  }
  return found;
}

}  // namespace cellsam::infer
