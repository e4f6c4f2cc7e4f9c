// The engine's commands `metric.match` and `metric.counts`: instance metrics on plain arrays.
#pragma once

#include <string_view>

#include "engine.h"

namespace cellsam::engine {

bool is_metric_command(std::string_view command);

// metric.match {truth: i32 [H,W], -1 = ignored, prediction: i32 [H,W], thresholds?: list of numbers in (0, 1], default 0.50,
//   0.55, .. 0.95, iou_threshold = 0.5, cutoff2 = 0.1: of DeepCell's counts, boundary_tolerance = 2 pixels,
//   scores?: f64 [n], row i is id i + 1}
//   -> {truth, predicted: numbers of instances, thresholds: f64 [t], true_positives: i32 [t], matched_iou_sum: f64 [t],
//       pairs: f64 [n,3] = truth id, predicted id, IoU of the matches at IoU >= 0.5, deepcell: DeepCell's true positives,
//       seg_sum, pixels: {truth, predicted, shared}, boundary: {truth, predicted, truth_near, predicted_near}: boundary pixels,
//       coco (with scores): {scores f64 [d] best first, verdicts u8 [4,10,d]: 0 false, 1 true, 2 ignored, truth f64 [4]}}
// metric.counts {truth, predicted, true_positives: i32 [k], matched_iou_sum: f64 [k]}
//   -> {average_precision, precision, recall, f1, mean_matched_iou, panoptic_quality: f64 [k]}
Value call_metric(std::string_view command, const Value& arguments);

}  // namespace cellsam::engine
