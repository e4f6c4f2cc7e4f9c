// The loops behind mask_decoder_kernels.h, where the formulas stand, for the instruction set of the file that includes this
// one. Vectors of 16 floats are the compiler's own; where registers are narrower it takes several.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/mask_decoder_kernels.h"
#include "kernels/mask_decoder_kernels_vec.h"

namespace cellsam::kernels {
namespace {

// Not std::min: the linker could take the one compiled here for all of the program, and older machines would stop at it.
inline std::int64_t min_of(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

template <int T>
void scores_of(const HeadShape& shape, const float* q, const float* map, float* out) {
  const auto step = shape.image_tokens % (2 * kImageTokenStep) == 0 ? 2 : 1;
  for (std::int64_t g = 0; g < shape.image_tokens; g += step * kImageTokenStep) {
    Vec first[T] = {}, second[T] = {};
    for (std::int64_t e = 0; e < shape.channels; ++e) {
      const float* at = map + e * shape.image_tokens + g;
      const Vec m0 = load(at), m1 = step == 2 ? load(at + kImageTokenStep) : Vec{};
      for (int i = 0; i < T; ++i) {
        const float factor = q[i * shape.channels + e];
        first[i] += factor * m0;
        second[i] += factor * m1;
      }
    }
    for (int i = 0; i < T; ++i) {
      store(out + i * shape.image_tokens + g, first[i]);
      if (step == 2) store(out + i * shape.image_tokens + g + kImageTokenStep, second[i]);
    }
  }
}

template <int T>
void values_of(const HeadShape& shape, const float* weights, const float* map, float* out) {
  constexpr std::int64_t kTile = 512;  // image tokens whose weights stay in the first cache for all channels
  for (std::int64_t i = 0; i < T * shape.channels; ++i) out[i] = 0;
  for (std::int64_t begin = 0; begin < shape.image_tokens; begin += kTile) {
    const auto end = min_of(shape.image_tokens, begin + kTile);
    for (std::int64_t e = 0; e < shape.channels; e += 2) {
      const auto next = min_of(e + 1, shape.channels - 1);
      Vec first[T] = {}, second[T] = {};
      for (std::int64_t g = begin; g < end; g += kImageTokenStep) {
        const Vec m0 = load(map + e * shape.image_tokens + g), m1 = load(map + next * shape.image_tokens + g);
        for (int i = 0; i < T; ++i) {
          const Vec w = load(weights + i * shape.image_tokens + g);
          first[i] += w * m0;
          second[i] += w * m1;
        }
      }
      for (int i = 0; i < T; ++i) {
        out[i * shape.channels + e] += sum(first[i]);
        if (next != e) out[i * shape.channels + next] += sum(second[i]);
      }
    }
  }
}

template <int T>
void add_map_of(const HeadShape& shape, const float* q, const float* weights, float* map) {
  for (std::int64_t g = 0; g < shape.image_tokens; g += kImageTokenStep) {
    Vec w[T];
    for (int i = 0; i < T; ++i) w[i] = load(weights + i * shape.image_tokens + g);
    for (std::int64_t e = 0; e < shape.channels; ++e) {
      Vec sums = load(map + e * shape.image_tokens + g);
      for (int i = 0; i < T; ++i) sums += q[i * shape.channels + e] * w[i];
      store(map + e * shape.image_tokens + g, sums);
    }
  }
}

// Calls `body` with the constant count of each group of at most 8 tokens and the group's first token.
template <class Body>
void for_groups_of_eight(std::int64_t tokens, Body body) {
  for (std::int64_t first = 0; first < tokens; first += 8) {
    const auto call = [&]<int T>() { body.template operator()<T>(first); };
    switch (min_of(8, tokens - first)) {
      case 1: call.template operator()<1>(); break;
      case 2: call.template operator()<2>(); break;
      case 3: call.template operator()<3>(); break;
      case 4: call.template operator()<4>(); break;
      case 5: call.template operator()<5>(); break;
      case 6: call.template operator()<6>(); break;
      case 7: call.template operator()<7>(); break;
      default: call.template operator()<8>(); break;
    }
  }
}

void scores(const HeadShape& shape, const float* q, const float* map, float* out) {
  for_groups_of_eight(shape.tokens, [&]<int T>(std::int64_t first) {
    scores_of<T>(shape, q + first * shape.channels, map, out + first * shape.image_tokens);
  });
}

void values(const HeadShape& shape, const float* weights, const float* map, float* out) {
  for_groups_of_eight(shape.tokens, [&]<int T>(std::int64_t first) {
    values_of<T>(shape, weights + first * shape.image_tokens, map, out + first * shape.channels);
  });
}

void add_map(const HeadShape& shape, const float* q, const float* weights, float* map) {
  for_groups_of_eight(shape.tokens, [&]<int T>(std::int64_t first) {
    add_map_of<T>(shape, q + first * shape.channels, weights + first * shape.image_tokens, map);
  });
}

// e^x for x <= 0, also where it vanishes; NaN for NaN.
inline Vec exp_of_nonpositive(Vec x) { return exp_nonpositive(x < -87.0F ? all(-87.0F) : x); }

void softmax_over_image_tokens(std::int64_t rows, std::int64_t image_tokens, const float* content, const float* scale,
                               const float* positional, float* out) {
  for (std::int64_t j = 0; j < rows; ++j, content += image_tokens, positional += image_tokens, out += image_tokens) {
    Vec max_score = all(-3.0e38F);
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
      const Vec score = load(scale + g) * load(content + g) + load(positional + g);
      max_score = score < max_score ? max_score : score;
      store(out + g, score);
    }
    float row_max = max_score[0];
    for (int i = 1; i < kImageTokenStep; ++i) row_max = max_score[i] < row_max ? row_max : max_score[i];
    Vec total{};
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
      const Vec e = exp_of_nonpositive(load(out + g) - row_max);
      total += e;
      store(out + g, e);
    }
    const float inverse_total = 1.0F / sum(total);
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) store(out + g, load(out + g) * inverse_total);
  }
}

void softmax_over_image_tokens_backward(std::int64_t rows, std::int64_t image_tokens, const float* content, const float* scale,
                                        const float* out, const float* grad, float* grad_content, float* grad_scale,
                                        float* grad_positional) {
  for (std::int64_t j = 0; j < rows; ++j) {
    const auto at = j * image_tokens;
    Vec total{};
    for (std::int64_t g = at; g < at + image_tokens; g += kImageTokenStep) total += load(out + g) * load(grad + g);
    const float dot = sum(total);
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
      const Vec grad_score = load(out + at + g) * (load(grad + at + g) - dot);
      store(grad_positional + at + g, grad_score);
      store(grad_content + at + g, grad_score * load(scale + g));
      store(grad_scale + g, load(grad_scale + g) + grad_score * load(content + at + g));
    }
  }
}

void softmax_over_prompt_tokens(std::int64_t heads, std::int64_t tokens, std::int64_t image_tokens, const float* content,
                                const float* scale, const float* positional, const float* bias, float* out) {
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
      const Vec factor = load(scale + g);
      Vec scores[kMaxPromptTokens], max_score = all(-3.0e38F), total{};
      for (std::int64_t i = 0; i < tokens; ++i) {
        const auto j = h * tokens + i, at = j * image_tokens + g;
        scores[i] = factor * load(content + at) + load(positional + at) + bias[j];
        max_score = scores[i] < max_score ? max_score : scores[i];
      }
      for (std::int64_t i = 0; i < tokens; ++i) {
        scores[i] = exp_of_nonpositive(scores[i] - max_score);
        total += scores[i];
      }
      const Vec inverse_total = 1.0F / total;
      for (std::int64_t i = 0; i < tokens; ++i) store(out + (h * tokens + i) * image_tokens + g, scores[i] * inverse_total);
    }
  }
}

void softmax_over_prompt_tokens_backward(std::int64_t heads, std::int64_t tokens, std::int64_t image_tokens,
                                         const float* content, const float* scale, const float* out, const float* grad,
                                         float* grad_content, float* grad_scale, float* grad_positional, float* grad_bias) {
  for (std::int64_t h = 0; h < heads; ++h) {
    Vec bias_sums[kMaxPromptTokens] = {};
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
      const auto first = h * tokens * image_tokens + g;
      const Vec factor = load(scale + g);
      Vec dot{}, scale_sum{};
      for (std::int64_t i = 0; i < tokens; ++i)
        dot += load(out + first + i * image_tokens) * load(grad + first + i * image_tokens);
      for (std::int64_t i = 0; i < tokens; ++i) {
        const auto at = first + i * image_tokens;
        const Vec grad_score = load(out + at) * (load(grad + at) - dot);
        store(grad_positional + at, grad_score);
        store(grad_content + at, grad_score * factor);
        scale_sum += grad_score * load(content + at);
        bias_sums[i] += grad_score;
      }
      store(grad_scale + g, load(grad_scale + g) + scale_sum);
    }
    for (std::int64_t i = 0; i < tokens; ++i) grad_bias[h * tokens + i] += sum(bias_sums[i]);
  }
}

void scale_image(std::int64_t channels, std::int64_t image_tokens, const float* image, std::int64_t image_stride,
                 const float* scale, const float* bias, float* x, std::int64_t x_stride) {
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
      store(x + c * x_stride + g, load(scale + g) * load(image + c * image_stride + g) + bias[c]);
    }
  }
}

void scale_image_backward(std::int64_t channels, std::int64_t image_tokens, const float* image, std::int64_t image_stride,
                          const float* scale, const float* grad_x, float* grad_image, float* grad_scale) {
  for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
    const Vec factor = load(scale + g);
    Vec dot{};
    for (std::int64_t c = 0; c < channels; ++c) {
      const Vec grad = load(grad_x + c * image_tokens + g);
      dot += grad * load(image + c * image_stride + g);
      store(grad_image + c * image_stride + g, load(grad_image + c * image_stride + g) + factor * grad);
    }
    store(grad_scale + g, dot);
  }
}

struct Moments {
  Vec mean, rstd;
};

inline Moments moments(std::int64_t channels, float eps, const float* x, std::int64_t stride) {
  Vec total{};
  for (std::int64_t c = 0; c < channels; ++c) total += load(x + c * stride);
  const float inverse_count = 1.0F / static_cast<float>(channels);
  const Vec mean = total * inverse_count;
  Vec squares{};
  for (std::int64_t c = 0; c < channels; ++c) {
    const Vec centred = load(x + c * stride) - mean;
    squares += centred * centred;
  }
  const Vec variance = squares * inverse_count + eps;
  Vec rstd;
  for (int i = 0; i < kImageTokenStep; ++i) rstd[i] = 1.0F / __builtin_sqrtf(variance[i]);
  return {mean, rstd};
}

void norm_gelu(std::int64_t channels, std::int64_t image_tokens, const float* gain, const float* bias, float eps,
               const float* x, std::int64_t x_stride, float* hidden) {
  for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
    const auto [mean, rstd] = moments(channels, eps, x + g, x_stride);
    for (std::int64_t c = 0; c < channels; ++c) {
      store(hidden + c * image_tokens + g, gelu((load(x + c * x_stride + g) - mean) * rstd * gain[c] + bias[c]));
    }
  }
}

void norm_gelu_backward(std::int64_t channels, std::int64_t image_tokens, const float* gain, const float* bias, float eps,
                        const float* x, std::int64_t x_stride, const float* grad_hidden, float* grad_x,
                        std::int64_t grad_x_stride) {
  const float inverse_count = 1.0F / static_cast<float>(channels);
  for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
    const auto [mean, rstd] = moments(channels, eps, x + g, x_stride);
    Vec mean_grad{}, mean_grad_x{};
    for (std::int64_t c = 0; c < channels; ++c) {
      const Vec normalized = (load(x + c * x_stride + g) - mean) * rstd, scaled = normalized * gain[c] + bias[c];
      const auto at = standard_normal(scaled);
      const Vec grad = load(grad_hidden + c * image_tokens + g) * (at.cdf + scaled * at.pdf) * gain[c];
      mean_grad += grad;
      mean_grad_x += grad * normalized;
      store(grad_x + c * grad_x_stride + g, grad);
    }
    mean_grad *= inverse_count, mean_grad_x *= inverse_count;
    for (std::int64_t c = 0; c < channels; ++c) {
      const Vec normalized = (load(x + c * x_stride + g) - mean) * rstd;
      store(grad_x + c * grad_x_stride + g,
            (load(grad_x + c * grad_x_stride + g) - mean_grad - normalized * mean_grad_x) * rstd);
    }
  }
}

void gelu_dot(std::int64_t channels, std::int64_t masks, std::int64_t image_tokens, const float* bias, const float* filters,
              const float* x, std::int64_t x_stride, float* logits, std::int64_t logits_stride) {
  for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
    Vec sums[4] = {};
    for (std::int64_t c = 0; c < channels; ++c) {
      const Vec active = gelu(load(x + c * x_stride + g) + bias[c]);
      for (std::int64_t m = 0; m < masks; ++m) sums[m] += filters[m * channels + c] * active;
    }
    for (std::int64_t m = 0; m < masks; ++m) store(logits + m * logits_stride + g, sums[m]);
  }
}

void gelu_dot_backward(std::int64_t channels, std::int64_t masks, std::int64_t image_tokens, const float* bias,
                       const float* filters, const float* x, std::int64_t x_stride, const float* grad_logits,
                       std::int64_t logits_stride, float* grad_x, float* grad_filters) {
  for (std::int64_t c = 0; c < channels; ++c) {
    Vec sums[4] = {};
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
      const Vec in = load(x + c * x_stride + g) + bias[c];
      const auto at = standard_normal(in);
      const Vec active = in * at.cdf;
      Vec grad{};
      for (std::int64_t m = 0; m < masks; ++m) {
        const Vec grad_logit = load(grad_logits + m * logits_stride + g);
        grad += filters[m * channels + c] * grad_logit;
        sums[m] += grad_logit * active;
      }
      store(grad_x + c * image_tokens + g, grad * (at.cdf + in * at.pdf));
    }
    for (std::int64_t m = 0; m < masks; ++m) grad_filters[m * channels + c] += sum(sums[m]);
  }
}

void bf16_rows(std::int64_t rows, std::int64_t image_tokens, const float* x, std::int64_t x_stride, std::uint16_t* out) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
      const auto bf16 = __builtin_convertvector(to_bf16_upper<Bits>(load(x + row * x_stride + g)) >> 16, Bf16s);
      std::memcpy(out + row * image_tokens + g, &bf16, sizeof bf16);
    }
  }
}

void bf16_row_pairs(std::int64_t rows, std::int64_t image_tokens, const float* x, std::int64_t x_stride, std::uint16_t* out) {
  for (std::int64_t row = 0; row < rows; row += 2) {
    for (std::int64_t g = 0; g < image_tokens; g += kImageTokenStep) {
      const auto* at = x + row * x_stride + g;
      const Vec second = row + 1 < rows ? load(at + x_stride) : Vec{};
      const Bits pairs = (to_bf16_upper<Bits>(load(at)) >> 16) | (to_bf16_upper<Bits>(second) & 0xffff0000U);
      std::memcpy(out + row * image_tokens + 2 * g, &pairs, sizeof pairs);
    }
  }
}

constexpr MaskDecoderKernels kKernels{scores,
                                      values,
                                      add_map,
                                      softmax_over_image_tokens,
                                      softmax_over_image_tokens_backward,
                                      softmax_over_prompt_tokens,
                                      softmax_over_prompt_tokens_backward,
                                      scale_image,
                                      scale_image_backward,
                                      norm_gelu,
                                      norm_gelu_backward,
                                      gelu_dot,
                                      gelu_dot_backward,
                                      bf16_rows,
                                      bf16_row_pairs};

}  // namespace
}  // namespace cellsam::kernels
