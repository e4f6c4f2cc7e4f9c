// The focal class loss (gamma = 2) of many logits with its gradient, in one pass.
#pragma once

#include <cstdint>

namespace cellsam::kernels {

// weight[i] is α_t of logit i, negative where the class is present (the sign tells, the size weighs), 0 where nothing counts.
// Answers Σ |weight| (1-p_t)² BCE and writes `scale` times its derivatives. float32 for every instruction set, the same bits on
// each; float64 in plain code.
double class_loss(const float* logits, const float* weight, std::int64_t count, double scale, float* gradient);
double class_loss(const double* logits, const double* weight, std::int64_t count, double scale, double* gradient);

}  // namespace cellsam::kernels
