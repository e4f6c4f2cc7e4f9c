// The engine's commands `infer.assemble` and `infer.sweep`: predictions at any detection threshold from candidates that were
// found once, without a model.
#pragma once

#include <string_view>

#include "engine.h"
#include "infer/candidates.h"

namespace cellsam::engine {

// {height, width, tiles i32 [t,4] (x, y, width, height), thresholds f64 [t], floors f64 [t], tile i32 [n], scores f64 [n],
//  ious f64 [n], boxes f64 [n,4], run_counts i32 [n], runs i32 [r,3] (y, x, end)}: the masks are runs of pixels of the image,
//  of which instance i has run_counts[i].
Value to_value(const infer::Candidates& candidates);

bool is_candidates_command(std::string_view command);

// infer.assemble {candidates, options, threshold?}    -> as the session's `predict`
// infer.sweep {candidates, options, truth: i32 [H,W]} -> {truth, truth_pixels, floor, scores f64 [k], predicted f64 [k],
//                                                          true_positives f64 [k,10], predicted_pixels, shared_pixels f64 [k]}
// `options` are infer::PredictOptions.
Value call_candidates(std::string_view command, const Value& arguments);

// {labels, scores, boxes, ious, count}
Value to_value(const infer::Prediction& prediction);

}  // namespace cellsam::engine
