// What the factored mask decoder does to all cells between its matrix products. On the CPU each of these passes over the cells
// once where separate operations would read and write them four to six times.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cellsam::ops {

// Attention of tokens over cells, softmax over G of scale * own + placed: [N,J,G], [N,1,G], [N,J,G] -> [N,J,G].
at::Tensor over_cells(const at::Tensor& own, const at::Tensor& scale, const at::Tensor& placed);

// Attention of cells over tokens, softmax within each of `heads` groups of J of scale * own + placed + level; level [N,J,1].
at::Tensor over_tokens(const at::Tensor& own, const at::Tensor& scale, const at::Tensor& placed, const at::Tensor& level,
                       std::int64_t heads);

// Of each cell, sum over j of x * (linear + gram x): x and linear [N,J,G], gram [N,J,J] symmetric -> [N,1,G].
at::Tensor quadratic(const at::Tensor& x, const at::Tensor& linear, const at::Tensor& gram);

}  // namespace cellsam::ops
