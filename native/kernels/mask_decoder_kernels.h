// The inner loops of SAM's mask decoder on the CPU, in its factored form: docs/math.md section 1. Plain C++ over float arrays,
// compiled for AVX-512, AVX2 and the baseline; the best that the machine has is taken (isa.h). Called by ops/head_product.cc,
// ops/image_token_attention.cc and ops/upscaled_masks.cc.
//
// Sizes: G image tokens (a multiple of kImageTokenStep, and the last, contiguous dimension everywhere), t prompt tokens of one
// prompt, H heads of E channels, J = H * t rows of all heads. `X_stride` is the distance between the rows of the matrix X in
// floats, where rows are not next to each other. `grad_X` is the gradient of the loss in X; it is overwritten unless a comment
// says that it is added to.
#pragma once

#include <cstdint>

namespace cellsam::kernels {

constexpr std::int64_t kImageTokenStep = 16;
constexpr std::int64_t kMaxPromptTokens = 16;  // of a prompt, in softmax_over_prompt_tokens

// Attention between the tokens of one prompt and the map [E,G] of one head: t, E, G.
struct HeadShape {
  std::int64_t tokens, channels, image_tokens;
};

struct MaskDecoderKernels {
  // The three products of q [t,E], weights [t,G] and map [E,G], each over what two of them share.
  // out[i,g] = sum over e of q[i,e] * map[e,g]                                                                    [t,G]
  void (*scores)(const HeadShape& shape, const float* q, const float* map, float* out);
  // out[i,e] = sum over g of weights[i,g] * map[e,g]                                                              [t,E]
  void (*values)(const HeadShape& shape, const float* weights, const float* map, float* out);
  // map[e,g] += sum over i of q[i,e] * weights[i,g]                                                               [E,G]
  void (*add_map)(const HeadShape& shape, const float* q, const float* weights, float* map);

  // Token to image: out[j,:] = softmax over g of scale[g] * content[j,g] + positional[j,g]. content, positional, out [rows,G]
  // are the scores from the image tokens' channels, those from their positions, and the attention weights; scale [G].
  void (*softmax_over_image_tokens)(std::int64_t rows, std::int64_t image_tokens, const float* content, const float* scale,
                                    const float* positional, float* out);
  // Adds to grad_scale.
  void (*softmax_over_image_tokens_backward)(std::int64_t rows, std::int64_t image_tokens, const float* content,
                                             const float* scale, const float* out, const float* grad, float* grad_content,
                                             float* grad_scale, float* grad_positional);
  // Image to token: out[j,g] = softmax over the tokens i of head h of scale[g] * content[j,g] + positional[j,g] + bias[j], with
  // j = h * tokens + i; bias [J].
  void (*softmax_over_prompt_tokens)(std::int64_t heads, std::int64_t tokens, std::int64_t image_tokens, const float* content,
                                     const float* scale, const float* positional, const float* bias, float* out);
  // Adds to grad_scale and grad_bias.
  void (*softmax_over_prompt_tokens_backward)(std::int64_t heads, std::int64_t tokens, std::int64_t image_tokens,
                                              const float* content, const float* scale, const float* out, const float* grad,
                                              float* grad_content, float* grad_scale, float* grad_positional, float* grad_bias);

  // x[c,g] = scale[g] * image[c,g] + bias[c]; x, image [channels,G]
  void (*scale_image)(std::int64_t channels, std::int64_t image_tokens, const float* image, std::int64_t image_stride,
                      const float* scale, const float* bias, float* x, std::int64_t x_stride);
  // Adds to grad_image; the rows of grad_x are next to each other.
  void (*scale_image_backward)(std::int64_t channels, std::int64_t image_tokens, const float* image, std::int64_t image_stride,
                               const float* scale, const float* grad_x, float* grad_image, float* grad_scale);

  // hidden[c,g] = gelu(layer norm over c of x[c,g]), the norm with gain and bias [channels]
  void (*norm_gelu)(std::int64_t channels, std::int64_t image_tokens, const float* gain, const float* bias, float eps,
                    const float* x, std::int64_t x_stride, float* hidden);
  void (*norm_gelu_backward)(std::int64_t channels, std::int64_t image_tokens, const float* gain, const float* bias, float eps,
                             const float* x, std::int64_t x_stride, const float* grad_hidden, float* grad_x,
                             std::int64_t grad_x_stride);

  // logits[m,g] = sum over c of filters[m,c] * gelu(x[c,g] + bias[c]), for at most 4 masks
  void (*gelu_dot)(std::int64_t channels, std::int64_t masks, std::int64_t image_tokens, const float* bias,
                   const float* filters, const float* x, std::int64_t x_stride, float* logits, std::int64_t logits_stride);
  // Adds to grad_filters; the rows of grad_x are next to each other.
  void (*gelu_dot_backward)(std::int64_t channels, std::int64_t masks, std::int64_t image_tokens, const float* bias,
                            const float* filters, const float* x, std::int64_t x_stride, const float* grad_logits,
                            std::int64_t logits_stride, float* grad_x, float* grad_filters);

  // The bits of x [rows,G] in bfloat16: row by row [rows,G], and with rows in pairs [(rows+1)/2,G,2], the last of an odd number
  // paired with zeros.
  void (*bf16_rows)(std::int64_t rows, std::int64_t image_tokens, const float* x, std::int64_t x_stride, std::uint16_t* out);
  void (*bf16_row_pairs)(std::int64_t rows, std::int64_t image_tokens, const float* x, std::int64_t x_stride,
                         std::uint16_t* out);
};

const MaskDecoderKernels& mask_decoder_kernels();  // of the instruction set in use

// One for each file mask_decoder_kernels_<set>.cc; the last two on x86-64 alone.
const MaskDecoderKernels& mask_decoder_kernels_portable();
const MaskDecoderKernels& mask_decoder_kernels_avx2();
const MaskDecoderKernels& mask_decoder_kernels_avx512();

}  // namespace cellsam::kernels
