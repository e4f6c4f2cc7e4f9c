// How attention of a network without pretrained weights starts: with equal and orthogonal query and key projections, the score
// of two positions is the inner product of their position embeddings, which is largest where they coincide. So attention is
// local from the first step, which small data sets would take long to learn. Our own addition
// (ModelSize::local_attention_init).
#pragma once

#include <ATen/core/Tensor.h>

namespace cellsam::model {

// Sets both weights [inner,dim] to one random matrix with orthonormal rows (or columns, where inner > dim), times `gain`.
void init_local_attention(const at::Tensor& query_weight, const at::Tensor& key_weight, double gain);

}  // namespace cellsam::model
