// The engine's commands `metric.match` and `metric.counts`: instance metrics on plain arrays.
#pragma once

#include <string_view>

#include "engine.h"

namespace cellsam::engine {

bool is_metric_command(std::string_view command);

// metric.match {truth: i32 [H,W], prediction: i32 [H,W], thresholds?: list of numbers in (0, 1], default 0.50, 0.55, .. 0.95}
//   -> {truth, predicted: numbers of instances, thresholds: f64 [t], true_positives: i32 [t], matched_iou_sum: f64 [t],
//       pairs: f64 [n,3] = truth id, predicted id, IoU of the matches at IoU >= 0.5}
// metric.counts {truth, predicted, true_positives: i32 [k], matched_iou_sum: f64 [k]}
//   -> {average_precision, precision, recall, f1, mean_matched_iou, panoptic_quality: f64 [k]}
Value call_metric(std::string_view command, const Value& arguments);

}  // namespace cellsam::engine
