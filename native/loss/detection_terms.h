// The three sums of the detection loss on the CPU with their gradients known at once: two passes over a few thousand numbers in
// place of some hundred operations of automatic differentiation, each of which a GPU would have to start. The matching has
// brought the numbers to the host already, and one copy takes sums and gradients back.
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
  at::Tensor total;           // of all layers, with the gradient
  at::Tensor ce, bbox, giou;  // of the last layer
};

// Predictions of the layers: logits [L,B,Q,C] and boxes [L,B,Q,4] of one dtype, float32 or float64.
struct Predictions {
  at::Tensor logits, boxes;
};

// predictions: with their history, on any device, where the results are too; seen: their values on the CPU, without gaps, like
// the rest: `pairs` [3,M] int64 as detection.cc makes them: matched query, its logit, its box in `truth` [T,4]; `counted`
// [L,B,Q,1] float32, undefined: all count.
DetectionTerms detection_terms(const Predictions& predictions, const Predictions& seen, const at::Tensor& truth,
                               const at::Tensor& pairs, const at::Tensor& counted, const TermWeights& weights);

}  // namespace cellsam::loss
