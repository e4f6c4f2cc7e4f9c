// Initialisation that makes attention local from the first step: with equal and orthogonal query and key projections the score
// of two places is the inner product of their position codes, which peaks where they coincide.
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::model {

// Sets both weights [inner,dim] to one random matrix with orthonormal rows (or columns), times `gain`.
void init_local(const at::Tensor& query_weight, const at::Tensor& key_weight, double gain);

void init_zero(const at::Tensor& parameter);

}  // namespace cellsam::model
