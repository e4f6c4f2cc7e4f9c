// The inner loops of the mask decoder on the CPU: plain C++ over float arrays, compiled for several instruction sets, of which
// the best that the machine has is taken. Cells are the fastest dimension and come in multiples of `kCellStep`.
#pragma once

#include <cstdint>

namespace cellsam::kernels {

constexpr std::int64_t kCellStep = 16;
constexpr std::int64_t kMostTokens = 16;  // of a prompt, in over_tokens

// Attention between the tokens of one prompt and one head's map [features,cells].
struct HeadShape {
  std::int64_t tokens, features, cells;
};

// Pointers to matrices have a row stride (`_stride`, in floats) where rows are not next to each other.
struct CellKernels {
  // out[i,g] = sum over e of q[i,e] * map[e,g]
  void (*scores)(const HeadShape& shape, const float* q, const float* map, float* out);
  // out[i,e] = sum over g of weights[i,g] * map[e,g]
  void (*values)(const HeadShape& shape, const float* weights, const float* map, float* out);
  // map[e,g] += sum over i of q[i,e] * weights[i,g]
  void (*add_map)(const HeadShape& shape, const float* q, const float* weights, float* map);

  // out[j,:] = softmax over g of scale[g] * own[j,g] + placed[j,g]
  void (*over_cells)(std::int64_t rows, std::int64_t cells, const float* own, const float* scale, const float* placed,
                     float* out);
  // grad_scale grows.
  void (*over_cells_backward)(std::int64_t rows, std::int64_t cells, const float* own, const float* scale, const float* out,
                              const float* grad, float* grad_own, float* grad_scale, float* grad_placed);
  // out[h*tokens+i,g] = softmax over i of scale[g] * own + placed + level[h*tokens+i]
  void (*over_tokens)(std::int64_t heads, std::int64_t tokens, std::int64_t cells, const float* own, const float* scale,
                      const float* placed, const float* level, float* out);
  // grad_scale and grad_level grow.
  void (*over_tokens_backward)(std::int64_t heads, std::int64_t tokens, std::int64_t cells, const float* own,
                               const float* scale, const float* out, const float* grad, float* grad_own, float* grad_scale,
                               float* grad_placed, float* grad_level);

  // x[c,g] = scale[g] * image[c,g] + level[c]
  void (*scale_image)(std::int64_t channels, std::int64_t cells, const float* image, std::int64_t image_stride,
                      const float* scale, const float* level, float* x, std::int64_t x_stride);
  // The gradient of scale, and what the image's grows by; that of x has no row stride.
  void (*scale_image_backward)(std::int64_t channels, std::int64_t cells, const float* image, std::int64_t image_stride,
                               const float* scale, const float* grad_x, float* grad_image, float* grad_scale);

  // hidden[c,g] = gelu(layer norm over c of x[c,g])
  void (*norm_gelu)(std::int64_t channels, std::int64_t cells, const float* gain, const float* bias, float eps, const float* x,
                    std::int64_t x_stride, float* hidden);
  // The gradient of x from that of hidden.
  void (*norm_gelu_backward)(std::int64_t channels, std::int64_t cells, const float* gain, const float* bias, float eps,
                             const float* x, std::int64_t x_stride, const float* grad_hidden, float* grad_x,
                             std::int64_t grad_x_stride);

  // logits[m,g] = sum over c of filters[m,c] * gelu(x[c,g] + bias[c]); m is few, logits and x have the stride of x
  void (*gelu_dot)(std::int64_t channels, std::int64_t masks, std::int64_t cells, const float* bias, const float* filters,
                   const float* x, std::int64_t x_stride, float* logits, std::int64_t logits_stride);
  // The gradient of x (stride `cells`), and what the filters' grows by.
  void (*gelu_dot_backward)(std::int64_t channels, std::int64_t masks, std::int64_t cells, const float* bias,
                            const float* filters, const float* x, std::int64_t x_stride, const float* grad_logits,
                            std::int64_t logits_stride, float* grad_x, float* grad_filters);

  // The bits of x in bfloat16: row by row, and with rows in pairs, [(rows+1)/2,cells,2], an odd last one with zeros.
  void (*half_rows)(std::int64_t rows, std::int64_t cells, const float* x, std::int64_t x_stride, std::uint16_t* out);
  void (*half_pairs)(std::int64_t rows, std::int64_t cells, const float* x, std::int64_t x_stride, std::uint16_t* out);
};

const CellKernels& cell_kernels();

}  // namespace cellsam::kernels
