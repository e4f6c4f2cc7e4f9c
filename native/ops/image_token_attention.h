// The softmaxes of the factored mask decoder over all image tokens, and the squares of its norms: docs/math.md section 1.9. On
// the CPU each passes over the image tokens once, where separate operations would read and write them four to six times. N
// prompts, J = heads * prompt tokens, G image tokens. Called by factored_image_tokens.cc.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cellsam::ops {

// Token to image: softmax over G of scale * content + positional: [N,J,G], [N,1,G], [N,J,G] -> [N,J,G]. content are the scores
// from the channels of image tokens, positional those from their positions.
at::Tensor softmax_over_image_tokens(const at::Tensor& content, const at::Tensor& scale, const at::Tensor& positional);

// Image to token: softmax within each of `heads` groups of J of scale * content + positional + bias; bias [N,J,1].
at::Tensor softmax_over_prompt_tokens(const at::Tensor& content, const at::Tensor& scale, const at::Tensor& positional,
                                      const at::Tensor& bias, std::int64_t heads);

// For each image token, sum over j of x * (linear + gram x): x and linear [N,J,G], gram [N,J,J] symmetric -> [N,1,G].
at::Tensor quadratic(const at::Tensor& x, const at::Tensor& linear, const at::Tensor& gram);

}  // namespace cellsam::ops
