// The loss of the dense head (model/dense_head.h): focal class loss, L1 and GIoU, as of the detector, but with image tokens
// that are given their cells by place (centre sampling: FCOS, Tian et al., ICCV 2019) instead of queries that are matched.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "loss/detection.h"

namespace cellsam::loss {

// Which cell each token learns, and how much that counts. T = height * width tokens, row by row. On the CPU.
struct TokenTargets {
  at::Tensor is_cell;       // [B,T] float32, 1 where the token learns a cell
  at::Tensor class_weight;  // [B,T] float32: 1 / tokens of the same cell; 1 without a cell, 0 there where it is ignored
  at::Tensor token;         // [P] int64, in the flattened tokens of the batch, of those that learn a cell
  at::Tensor boxes;         // [P,4] cx, cy, width, height of their cells
};

// A token learns the cell in whose middle it lies: nearer to its centre than 0.3 of the cell's width and height, or than the
// next token where the cell is smaller. Of several cells it learns that which is nearest, in the cell's own widths and heights.
TokenTargets token_targets(const std::vector<Targets>& targets, std::int64_t height, std::int64_t width);

// logits [B,T], boxes [B,T,4] of tokens on a height x width grid. Every cell counts once, however many tokens learn it, and the
// sum is divided by max(1, cells in the batch), with the weights and focal_alpha of `options`. Zero-dimensional, on the device
// of the predictions, for which the host does not wait.
at::Tensor dense_loss(const at::Tensor& logits, const at::Tensor& boxes, std::int64_t height, std::int64_t width,
                      const std::vector<Targets>& targets, const DetectionLossOptions& options);

}  // namespace cellsam::loss
