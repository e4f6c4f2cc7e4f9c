// The loops behind cell_kernels.h, for the instruction set of the file that includes this one. Vectors of 16 floats are the
// compiler's own; where registers are narrower it takes several.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/mask_decoder_kernels.h"
#include "kernels/mask_decoder_kernels_vec.h"

namespace cellsam::kernels {
namespace {

// Not std::min: the linker could take the one compiled here for all of the program, and older machines would stop at it.
inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

template <int T>
void scores_of(const HeadShape& shape, const float* q, const float* map, float* out) {
  const auto step = shape.cells % (2 * kCellStep) == 0 ? 2 : 1;
  for (std::int64_t g = 0; g < shape.cells; g += step * kCellStep) {
    Vec first[T] = {}, second[T] = {};
    for (std::int64_t e = 0; e < shape.features; ++e) {
      const float* at = map + e * shape.cells + g;
      const Vec m0 = load(at), m1 = step == 2 ? load(at + kCellStep) : Vec{};
      for (int i = 0; i < T; ++i) {
        const float factor = q[i * shape.features + e];
        first[i] += factor * m0;
        second[i] += factor * m1;
      }
    }
    for (int i = 0; i < T; ++i) {
      store(out + i * shape.cells + g, first[i]);
      if (step == 2) store(out + i * shape.cells + g + kCellStep, second[i]);
    }
  }
}

template <int T>
void values_of(const HeadShape& shape, const float* weights, const float* map, float* out) {
  constexpr std::int64_t kTile = 512;  // cells whose weights stay in the first cache for all features
  for (std::int64_t i = 0; i < T * shape.features; ++i) out[i] = 0;
  for (std::int64_t begin = 0; begin < shape.cells; begin += kTile) {
    const auto end = smaller(shape.cells, begin + kTile);
    for (std::int64_t e = 0; e < shape.features; e += 2) {
      const auto next = smaller(e + 1, shape.features - 1);
      Vec first[T] = {}, second[T] = {};
      for (std::int64_t g = begin; g < end; g += kCellStep) {
        const Vec m0 = load(map + e * shape.cells + g), m1 = load(map + next * shape.cells + g);
        for (int i = 0; i < T; ++i) {
          const Vec w = load(weights + i * shape.cells + g);
          first[i] += w * m0;
          second[i] += w * m1;
        }
      }
      for (int i = 0; i < T; ++i) {
        out[i * shape.features + e] += sum(first[i]);
        if (next != e) out[i * shape.features + next] += sum(second[i]);
      }
    }
  }
}

template <int T>
void add_map_of(const HeadShape& shape, const float* q, const float* weights, float* map) {
  for (std::int64_t g = 0; g < shape.cells; g += kCellStep) {
    Vec w[T];
    for (int i = 0; i < T; ++i) w[i] = load(weights + i * shape.cells + g);
    for (std::int64_t e = 0; e < shape.features; ++e) {
      Vec grown = load(map + e * shape.cells + g);
      for (int i = 0; i < T; ++i) grown += q[i * shape.features + e] * w[i];
      store(map + e * shape.cells + g, grown);
    }
  }
}

// Calls `body` with the constant count of each group of at most 8 tokens and the group's first token.
template <class Body>
void by_eight(std::int64_t tokens, Body body) {
  for (std::int64_t first = 0; first < tokens; first += 8) {
    const auto call = [&]<int T>() { body.template operator()<T>(first); };
    switch (smaller(8, tokens - first)) {
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
  by_eight(shape.tokens,
           [&]<int T>(std::int64_t first) { scores_of<T>(shape, q + first * shape.features, map, out + first * shape.cells); });
}

void values(const HeadShape& shape, const float* weights, const float* map, float* out) {
  by_eight(shape.tokens, [&]<int T>(std::int64_t first) {
    values_of<T>(shape, weights + first * shape.cells, map, out + first * shape.features);
  });
}

void add_map(const HeadShape& shape, const float* q, const float* weights, float* map) {
  by_eight(shape.tokens, [&]<int T>(std::int64_t first) {
    add_map_of<T>(shape, q + first * shape.features, weights + first * shape.cells, map);
  });
}

// e^x for x <= 0, also where it vanishes; NaN for NaN.
inline Vec exp_below(Vec x) { return exp_nonpositive(x < -87.0F ? all(-87.0F) : x); }

void over_cells(std::int64_t rows, std::int64_t cells, const float* own, const float* scale, const float* placed, float* out) {
  for (std::int64_t j = 0; j < rows; ++j, own += cells, placed += cells, out += cells) {
    Vec most = all(-3.0e38F);
    for (std::int64_t g = 0; g < cells; g += kCellStep) {
      const Vec score = load(scale + g) * load(own + g) + load(placed + g);
      most = score < most ? most : score;
      store(out + g, score);
    }
    float top = most[0];
    for (int i = 1; i < kCellStep; ++i) top = most[i] < top ? top : most[i];
    Vec total{};
    for (std::int64_t g = 0; g < cells; g += kCellStep) {
      const Vec e = exp_below(load(out + g) - top);
      total += e;
      store(out + g, e);
    }
    const float share = 1.0F / sum(total);
    for (std::int64_t g = 0; g < cells; g += kCellStep) store(out + g, load(out + g) * share);
  }
}

void over_cells_backward(std::int64_t rows, std::int64_t cells, const float* own, const float* scale, const float* out,
                         const float* grad, float* grad_own, float* grad_scale, float* grad_placed) {
  for (std::int64_t j = 0; j < rows; ++j) {
    const auto at = j * cells;
    Vec total{};
    for (std::int64_t g = at; g < at + cells; g += kCellStep) total += load(out + g) * load(grad + g);
    const float along = sum(total);
    for (std::int64_t g = 0; g < cells; g += kCellStep) {
      const Vec score = load(out + at + g) * (load(grad + at + g) - along);
      store(grad_placed + at + g, score);
      store(grad_own + at + g, score * load(scale + g));
      store(grad_scale + g, load(grad_scale + g) + score * load(own + at + g));
    }
  }
}

void over_tokens(std::int64_t heads, std::int64_t tokens, std::int64_t cells, const float* own, const float* scale,
                 const float* placed, const float* level, float* out) {
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t g = 0; g < cells; g += kCellStep) {
      const Vec factor = load(scale + g);
      Vec scores[kMostTokens], most = all(-3.0e38F), total{};
      for (std::int64_t i = 0; i < tokens; ++i) {
        const auto j = h * tokens + i, at = j * cells + g;
        scores[i] = factor * load(own + at) + load(placed + at) + level[j];
        most = scores[i] < most ? most : scores[i];
      }
      for (std::int64_t i = 0; i < tokens; ++i) {
        scores[i] = exp_below(scores[i] - most);
        total += scores[i];
      }
      const Vec share = 1.0F / total;
      for (std::int64_t i = 0; i < tokens; ++i) store(out + (h * tokens + i) * cells + g, scores[i] * share);
    }
  }
}

void over_tokens_backward(std::int64_t heads, std::int64_t tokens, std::int64_t cells, const float* own, const float* scale,
                          const float* out, const float* grad, float* grad_own, float* grad_scale, float* grad_placed,
                          float* grad_level) {
  for (std::int64_t h = 0; h < heads; ++h) {
    Vec levels[kMostTokens] = {};
    for (std::int64_t g = 0; g < cells; g += kCellStep) {
      const auto first = h * tokens * cells + g;
      const Vec factor = load(scale + g);
      Vec along{}, scaled{};
      for (std::int64_t i = 0; i < tokens; ++i) along += load(out + first + i * cells) * load(grad + first + i * cells);
      for (std::int64_t i = 0; i < tokens; ++i) {
        const auto at = first + i * cells;
        const Vec score = load(out + at) * (load(grad + at) - along);
        store(grad_placed + at, score);
        store(grad_own + at, score * factor);
        scaled += score * load(own + at);
        levels[i] += score;
      }
      store(grad_scale + g, load(grad_scale + g) + scaled);
    }
    for (std::int64_t i = 0; i < tokens; ++i) grad_level[h * tokens + i] += sum(levels[i]);
  }
}

void scale_image(std::int64_t channels, std::int64_t cells, const float* image, std::int64_t image_stride, const float* scale,
                 const float* level, float* x, std::int64_t x_stride) {
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t g = 0; g < cells; g += kCellStep) {
      store(x + c * x_stride + g, load(scale + g) * load(image + c * image_stride + g) + level[c]);
    }
  }
}

void scale_image_backward(std::int64_t channels, std::int64_t cells, const float* image, std::int64_t image_stride,
                          const float* scale, const float* grad_x, float* grad_image, float* grad_scale) {
  for (std::int64_t g = 0; g < cells; g += kCellStep) {
    const Vec factor = load(scale + g);
    Vec along{};
    for (std::int64_t c = 0; c < channels; ++c) {
      const Vec grad = load(grad_x + c * cells + g);
      along += grad * load(image + c * image_stride + g);
      store(grad_image + c * image_stride + g, load(grad_image + c * image_stride + g) + factor * grad);
    }
    store(grad_scale + g, along);
  }
}

struct Moments {
  Vec mean, rate;
};

inline Moments moments(std::int64_t channels, float eps, const float* x, std::int64_t stride) {
  Vec total{};
  for (std::int64_t c = 0; c < channels; ++c) total += load(x + c * stride);
  const float share = 1.0F / static_cast<float>(channels);
  const Vec mean = total * share;
  Vec squares{};
  for (std::int64_t c = 0; c < channels; ++c) {
    const Vec away = load(x + c * stride) - mean;
    squares += away * away;
  }
  const Vec variance = squares * share + eps;
  Vec rate;
  for (int i = 0; i < kCellStep; ++i) rate[i] = 1.0F / __builtin_sqrtf(variance[i]);
  return {mean, rate};
}

void norm_gelu(std::int64_t channels, std::int64_t cells, const float* gain, const float* bias, float eps, const float* x,
               std::int64_t x_stride, float* hidden) {
  for (std::int64_t g = 0; g < cells; g += kCellStep) {
    const auto [mean, rate] = moments(channels, eps, x + g, x_stride);
    for (std::int64_t c = 0; c < channels; ++c) {
      store(hidden + c * cells + g, gelu((load(x + c * x_stride + g) - mean) * rate * gain[c] + bias[c]));
    }
  }
}

void norm_gelu_backward(std::int64_t channels, std::int64_t cells, const float* gain, const float* bias, float eps,
                        const float* x, std::int64_t x_stride, const float* grad_hidden, float* grad_x,
                        std::int64_t grad_x_stride) {
  const float share = 1.0F / static_cast<float>(channels);
  for (std::int64_t g = 0; g < cells; g += kCellStep) {
    const auto [mean, rate] = moments(channels, eps, x + g, x_stride);
    Vec level{}, along{};
    for (std::int64_t c = 0; c < channels; ++c) {
      const Vec plain = (load(x + c * x_stride + g) - mean) * rate, scaled = plain * gain[c] + bias[c];
      const auto at = normal(scaled);
      const Vec grad = load(grad_hidden + c * cells + g) * (at.below + scaled * at.density) * gain[c];
      level += grad;
      along += grad * plain;
      store(grad_x + c * grad_x_stride + g, grad);
    }
    level *= share, along *= share;
    for (std::int64_t c = 0; c < channels; ++c) {
      const Vec plain = (load(x + c * x_stride + g) - mean) * rate;
      store(grad_x + c * grad_x_stride + g, (load(grad_x + c * grad_x_stride + g) - level - plain * along) * rate);
    }
  }
}

void gelu_dot(std::int64_t channels, std::int64_t masks, std::int64_t cells, const float* bias, const float* filters,
              const float* x, std::int64_t x_stride, float* logits, std::int64_t logits_stride) {
  for (std::int64_t g = 0; g < cells; g += kCellStep) {
    Vec sums[4] = {};
    for (std::int64_t c = 0; c < channels; ++c) {
      const Vec active = gelu(load(x + c * x_stride + g) + bias[c]);
      for (std::int64_t m = 0; m < masks; ++m) sums[m] += filters[m * channels + c] * active;
    }
    for (std::int64_t m = 0; m < masks; ++m) store(logits + m * logits_stride + g, sums[m]);
  }
}

void gelu_dot_backward(std::int64_t channels, std::int64_t masks, std::int64_t cells, const float* bias, const float* filters,
                       const float* x, std::int64_t x_stride, const float* grad_logits, std::int64_t logits_stride,
                       float* grad_x, float* grad_filters) {
  for (std::int64_t c = 0; c < channels; ++c) {
    Vec grown[4] = {};
    for (std::int64_t g = 0; g < cells; g += kCellStep) {
      const Vec in = load(x + c * x_stride + g) + bias[c];
      const auto at = normal(in);
      const Vec active = in * at.below;
      Vec grad{};
      for (std::int64_t m = 0; m < masks; ++m) {
        const Vec outer = load(grad_logits + m * logits_stride + g);
        grad += filters[m * channels + c] * outer;
        grown[m] += outer * active;
      }
      store(grad_x + c * cells + g, grad * (at.below + in * at.density));
    }
    for (std::int64_t m = 0; m < masks; ++m) grad_filters[m * channels + c] += sum(grown[m]);
  }
}

void half_rows(std::int64_t rows, std::int64_t cells, const float* x, std::int64_t x_stride, std::uint16_t* out) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t g = 0; g < cells; g += kCellStep) {
      const auto halves = __builtin_convertvector(to_bf16_upper<Bits>(load(x + row * x_stride + g)) >> 16, Halves);
      std::memcpy(out + row * cells + g, &halves, sizeof halves);
    }
  }
}

void half_pairs(std::int64_t rows, std::int64_t cells, const float* x, std::int64_t x_stride, std::uint16_t* out) {
  for (std::int64_t row = 0; row < rows; row += 2) {
    for (std::int64_t g = 0; g < cells; g += kCellStep) {
      const auto* at = x + row * x_stride + g;
      const Vec second = row + 1 < rows ? load(at + x_stride) : Vec{};
      const Bits pairs = (to_bf16_upper<Bits>(load(at)) >> 16) | (to_bf16_upper<Bits>(second) & 0xffff0000U);
      std::memcpy(out + row * cells + 2 * g, &pairs, sizeof pairs);
    }
  }
}

constexpr CellKernels kKernels{scores,
                               values,
                               add_map,
                               over_cells,
                               over_cells_backward,
                               over_tokens,
                               over_tokens_backward,
                               scale_image,
                               scale_image_backward,
                               norm_gelu,
                               norm_gelu_backward,
                               gelu_dot,
                               gelu_dot_backward,
                               half_rows,
                               half_pairs};

}  // namespace
}  // namespace cellsam::kernels
