// Muon (Jordan et al., 2024): the momentum of a weight matrix is replaced by the nearest matrix whose singular values are all
// about 1, so that no direction of the matrix learns much faster than another. It is meant for the matrices of hidden layers;
// biases, norms, embeddings, and first and last layers stay with AdamW.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace cellsam::optim {

// How many matrices the parameter of this name stacks, one upon the other and of the same height: 1 for the weight of a hidden
// layer, 3 or 5 for projections of attention that are kept in one tensor, 0 for a parameter that Muon is not meant for. The
// kernel [out,in,...] of a convolution counts as a matrix [out,in * ...].
std::int64_t stacked_matrices(const std::string& name, const at::Tensor& parameter);

// U V^T of each matrix [n,rows,columns] = U S V^T, roughly: five Newton-Schulz steps of Jordan et al., after which singular
// values are between 0.7 and 1.2, but for those below a thousandth of the largest. On a GPU they are computed in bfloat16.
at::Tensor orthogonalized(const at::Tensor& matrices);

// What orthogonalized() is multiplied by for entries as large as those of an AdamW update (root mean square 0.2; Liu et al.,
// "Muon is scalable for LLM training", 2025), so that learning rate and weight decay mean the same for all parameters.
double update_scale(std::int64_t rows, std::int64_t columns);

}  // namespace cellsam::optim
