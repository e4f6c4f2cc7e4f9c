// The weighted sum of a row and of the row moved by each distance, with the same bits on every instruction set. Called by
// augment/elastic.cc; compiled for AVX-512, AVX2 and the baseline (CELLSAM_COPIES).
#pragma once

#include <cstdint>

namespace cellsam::kernels {

// to[x] = weights[0] line[x] + sum over d = 1..radius of weights[d] (line[x - d] + line[x + d]). `line` has `radius` elements
// before and after its `width`.
void smooth_row(const float* line, float* to, std::int64_t width, const float* weights, std::int64_t radius);

}  // namespace cellsam::kernels
