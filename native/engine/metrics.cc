#include "engine/metrics.h"

#include <algorithm>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "base/options.h"
#include "base/tensors.h"
#include "metric/average_precision.h"
#include "metric/coco.h"
#include "metric/match.h"
#include "metric/segmentation.h"
#include "settings/comparison.h"

namespace cellsam::engine {
namespace {

at::Tensor doubles(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

std::vector<double> read_thresholds(Options& options) {
  const auto* list = options.list("thresholds");
  if (list == nullptr) return metric::average_precision_thresholds();
  std::vector<double> thresholds;
  for (const auto& value : *list) {
    const auto* number = value.as<double>();
    if (number == nullptr || !(*number > 0 && *number <= 1)) {
      throw Error("ERR_INVALID_ARGUMENT", "metric.match: option thresholds must be a list of numbers above 0 and up to 1");
    }
    thresholds.push_back(*number);
  }
  return thresholds;
}

// The scores of the table's predicted ids, from a list in which row i belongs to id i + 1.
std::vector<double> scores_of(const metric::OverlapTable& table, const at::Tensor& rows) {
  std::vector<double> scores;
  for (const auto id : table.predicted_ids) {
    if (rows.dim() != 1 || id > rows.numel()) {
      throw Error("ERR_INVALID_ARGUMENT",
                  "metric.match: scores must be a list in which row i belongs to id i + 1, and the prediction "
                  "holds the id " +
                      std::to_string(id));
    }
    scores.push_back(rows.const_data_ptr<double>()[id - 1]);
  }
  return scores;
}

Dict coco_part(const metric::OverlapTable& table, const std::vector<double>& scores) {
  const auto& thresholds = metric::average_precision_thresholds();
  const auto image = metric::coco_image(table, scores, thresholds);
  const auto detections = static_cast<std::int64_t>(scores.size());
  auto verdicts = at::empty({4, static_cast<std::int64_t>(thresholds.size()), detections}, at::kByte);
  std::transform(image.verdicts.begin(), image.verdicts.end(), verdicts.data_ptr<std::uint8_t>(),
                 [](auto verdict) { return static_cast<std::uint8_t>(verdict); });
  std::vector<double> sorted, truth(image.truth.begin(), image.truth.end());
  for (const auto row : image.order) sorted.push_back(scores[row]);
  return {{"scores", to_array(doubles(sorted))}, {"verdicts", to_array(verdicts)}, {"truth", to_array(doubles(truth))}};
}

Value match_command(Options& options) {
  const auto truth = to_tensor(options.require_array("truth"));
  const auto prediction = to_tensor(options.require_array("prediction"));
  const auto thresholds = read_thresholds(options);
  const auto iou_threshold = options.read(setting::comparison::iou_threshold);
  const auto cutoff2 = options.read(setting::comparison::cutoff2);
  const auto tolerance = options.read(setting::comparison::boundary_tolerance);
  const auto* scores = options.array("scores");
  options.done();

  const auto maps = metric::leave_out_ignored(truth, prediction);
  const auto table = metric::overlap_table(maps.truth, maps.prediction);
  std::vector<std::int32_t> true_positives;
  std::vector<double> iou_sums;
  for (const auto& counts : metric::count_matches(table, thresholds)) {
    true_positives.push_back(static_cast<std::int32_t>(counts.true_positives));
    iou_sums.push_back(counts.matched_iou_sum);
  }
  std::vector<double> pairs;
  for (const auto& pair : metric::match(table, 0.5)) {
    pairs.push_back(table.truth_ids[pair.truth]);
    pairs.push_back(table.predicted_ids[pair.predicted]);
    pairs.push_back(pair.iou);
  }
  const auto pixels = metric::foreground(table);
  const auto boundary = metric::boundary_counts(maps.truth, maps.prediction, maps.ignored, tolerance);
  Dict result{{"truth", table.truth_ids.size()},
              {"predicted", table.predicted_ids.size()},
              {"thresholds", to_array(doubles(thresholds))},
              {"true_positives", to_array(at::tensor(true_positives, at::kInt))},
              {"matched_iou_sum", to_array(doubles(iou_sums))},
              {"pairs", to_array(doubles(pairs).reshape({-1, 3}))},
              {"deepcell", metric::match_deepcell(table, 1 - iou_threshold, cutoff2).size()},
              {"seg_sum", metric::seg_sum(table)},
              {"pixels", Dict{{"truth", pixels.truth}, {"predicted", pixels.predicted}, {"shared", pixels.shared}}},
              {"boundary", Dict{{"truth", boundary.truth},
                                {"predicted", boundary.predicted},
                                {"truth_near", boundary.truth_near},
                                {"predicted_near", boundary.predicted_near}}}};
  if (scores != nullptr) result["coco"] = coco_part(table, scores_of(table, to_tensor(*scores).to(at::kDouble).contiguous()));
  return result;
}

// One number per row of the columns that metric.counts takes.
at::Tensor read_column(Options& options, const std::string& name) {
  return to_tensor(options.require_array(name)).to(at::kDouble).contiguous();
}

Value counts_command(Options& options) {
  const auto truth = read_column(options, "truth"), predicted = read_column(options, "predicted");
  const auto true_positives = read_column(options, "true_positives"), iou_sums = read_column(options, "matched_iou_sum");
  options.done();
  const auto rows = truth.numel();
  for (const auto& column : {truth, predicted, true_positives, iou_sums}) {
    if (column.dim() != 1 || column.numel() != rows) {
      throw Error("ERR_INVALID_ARGUMENT",
                  "metric.counts: truth, predicted, true_positives and matched_iou_sum must be of one length");
    }
  }
  std::vector<double> ap, precision, recall, f1, iou, pq;
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto whole = [i](const at::Tensor& column) { return static_cast<std::int64_t>(column.const_data_ptr<double>()[i]); };
    const metric::Counts counts{whole(truth), whole(predicted), whole(true_positives), iou_sums.const_data_ptr<double>()[i]};
    if (counts.true_positives < 0 || counts.true_positives > std::min(counts.truth, counts.predicted)) {
      throw Error("ERR_INVALID_ARGUMENT",
                  "metric.counts: true_positives must lie between 0 and the smaller of truth and predicted");
    }
    ap.push_back(metric::average_precision(counts));
    precision.push_back(metric::precision(counts));
    recall.push_back(metric::recall(counts));
    f1.push_back(metric::f1(counts));
    iou.push_back(metric::mean_matched_iou(counts));
    pq.push_back(metric::panoptic_quality(counts));
  }
  return Dict{{"average_precision", to_array(doubles(ap))}, {"precision", to_array(doubles(precision))},
              {"recall", to_array(doubles(recall))},        {"f1", to_array(doubles(f1))},
              {"mean_matched_iou", to_array(doubles(iou))}, {"panoptic_quality", to_array(doubles(pq))}};
}

}  // namespace

bool is_metric_command(std::string_view command) { return command == "metric.match" || command == "metric.counts"; }

Value call_metric(std::string_view command, const Value& arguments) {
  if (!is_metric_command(command)) throw Error("ERR_INVALID_ARGUMENT", "no such command: " + std::string(command));
  Options options(arguments, std::string(command));
  return command == "metric.match" ? match_command(options) : counts_command(options);
}

}  // namespace cellsam::engine
