// The engine commands that give the losses, the assignment solver and hard example mining to TypeScript, with gradients: for
// tests, for teaching, and for those who train with their own loop.
#pragma once

#include <string_view>

#include "engine.h"

namespace cellsam::engine {

// Whether `command` is one of loss.focal, loss.dice, loss.boundary, loss.mask, loss.detection, mining.weights, hungarian.
bool is_loss_command(std::string_view command);

// Runs one. Arrays are computed in the dtype given, f32 or f64 (the latter for finite differences); a mask target may be u8.
//   loss.focal     {logits [N,H,W] or [H,W], target, alpha=.25, gamma=2} -> {value f64 [N], gradient like logits}
//   loss.dice      {logits, target, smooth=1}                            -> {value, gradient}
//   loss.boundary  {logits, target}                                      -> {value, gradient}
//   loss.mask      {logits, target, the names of MaskLossOptions}        -> {focal, dice, boundary, total f64 [N], gradient}
//   loss.detection {logits [L,B,Q,C], boxes [L,B,Q,4], targets: list of {boxes [T,4], labels i32 [T]}, ce_weight=1,
//                   bbox_weight=5, giou_weight=2, focal_alpha=.25, aux_loss=true, cost_class=1, cost_bbox=1, cost_giou=1}
//                  -> {total, ce, bbox, giou, class_error, logits_gradient, boxes_gradient}
//   mining.weights {totals [N], the names of MiningOptions without enabled} -> {weights f64 [N], selected, ratio}
//   hungarian      {cost f64 or f32 [R,C]}                               -> {rows i32, columns i32, total}
// A gradient is that of the sum over N of the values (of the total for detection). Throws ERR_INVALID_ARGUMENT for wrong input.
Value call_loss(std::string_view command, const Value& arguments);

}  // namespace cellsam::engine
