#include "infer/prediction.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "infer/overlap.h"

namespace cellsam::infer {

Prediction to_prediction(const std::vector<Instance>& instances, std::int64_t height, std::int64_t width,
                         const PredictOptions& options) {
  const auto resolved = resolve_overlaps(instances, height, width, options);
  const auto count = static_cast<std::int64_t>(resolved.kept.size());
  Prediction prediction{resolved.labels, at::zeros({count}, at::kDouble), at::zeros({count, 4}, at::kDouble),
                        at::zeros({count}, at::kDouble), at::zeros({count}, at::kLong)};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto& instance = instances[static_cast<std::size_t>(resolved.kept[static_cast<std::size_t>(i)])];
    prediction.scores.data_ptr<double>()[i] = instance.score;
    prediction.ious.data_ptr<double>()[i] = instance.iou;
    prediction.source.data_ptr<std::int64_t>()[i] = instance.source;
    std::copy(instance.box.begin(), instance.box.end(), prediction.boxes.data_ptr<double>() + 4 * i);
  }
  return prediction;
}

}  // namespace cellsam::infer
