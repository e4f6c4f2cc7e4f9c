// The three sums of the detection loss on the CPU with their gradients known at once: two passes over a few thousand numbers in
// place of some forty operations of automatic differentiation.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace cellsam::loss {

// Factors of the three sums, each already divided by the number of cells.
struct TermWeights {
  double ce, bbox, giou;
  double focal_alpha;
};

struct DetectionTerms {
  at::Tensor total;                    // of all layers, with the gradient
  std::vector<double> ce, bbox, giou;  // per layer
};

// logits [L,B,Q,C] and boxes [L,B,Q,4] of one dtype, float32 or float64, on the CPU; `pairs` [3,M] int64 as detection.cc makes
// them: matched query, its logit, its box in `truth` [T,4]; `counted` [L,B,Q,1] float32, undefined: all count.
DetectionTerms detection_terms(const at::Tensor& logits, const at::Tensor& boxes, const at::Tensor& truth,
                               const at::Tensor& pairs, const at::Tensor& counted, const TermWeights& weights);

}  // namespace cellsam::loss
