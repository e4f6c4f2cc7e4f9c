// The engine commands that give the losses, the assignment solver and hard example mining to TypeScript, with gradients: for
// tests, for teaching, and for those who train with their own loop.
#pragma once

#include <string_view>

#include "engine.h"

namespace cellsam::engine {

// Whether `command` is loss.NAME for a loss of loss/mask_loss_table.h, loss.mask, loss.detection, mining.weights or hungarian.
bool is_loss_command(std::string_view command);

// Runs one. Arrays are computed in the dtype given, f32 or f64 (the latter for finite differences); a mask target may be u8.
// Options are the settings of the stages, by their names.
//   loss.NAME      {logits [N,H,W] or [H,W], target, ignored, settings of the loss} -> {value f64 [N], gradient like logits}
//   loss.mask      {logits, target, ignored, weights and settings of all losses}
//                  -> {NAME f64 [N] for each loss, weighted, total f64 [N], gradient}
//   loss.detection {logits [L,B,Q,C], boxes [L,B,Q,4], targets: list of {boxes [T,4], labels i32 [T], ignored [H,W]}, and what
//                  loss::DetectionLossOptions reads} -> {total, ce, bbox, giou, class_error, logits_gradient, boxes_gradient}
//   mining.weights {totals [N], and what loss::read_mining_options reads} -> {weights f64 [N], selected, ratio}
//   hungarian      {cost f64 or f32 [R,C]} -> {rows i32, columns i32, total}
// A gradient is that of the sum over N of the values (of the total for detection). Throws ERR_INVALID_ARGUMENT for wrong input.
Value call_loss(std::string_view command, const Value& arguments);

}  // namespace cellsam::engine
