// The focal class loss (Lin et al., ICCV 2017, gamma = 2) of many logits with its gradient, in one pass: docs/math.md (6.2).
// Called by loss/detection_terms.cc.
#pragma once

#include <cstdint>

namespace cellsam::kernels {

// logits, weight and gradient [count]. weight[i] is α_t of logit i, negative where the class is present (the sign tells, the
// size weighs), 0 where nothing counts. Returns Σ |weight| (1-p_t)² (-ln p_t) and writes `scale` times its derivatives. float32
// for every instruction set (CELLSAM_COPIES), the same bits on each; float64 in plain code.
double class_loss(const float* logits, const float* weight, std::int64_t count, double scale, float* gradient);
double class_loss(const double* logits, const double* weight, std::int64_t count, double scale, double* gradient);

}  // namespace cellsam::kernels
