#include "ops/upscaled_masks.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/parallel.h"
#include "kernels/mask_decoder_kernels.h"
#include "ops/decoder_kernels.h"
#include "ops/small_matmul.h"

namespace cellsam::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr float kEps = 1e-6F;         // of SAM's LayerNorm2d
constexpr std::int64_t kBlock = 256;  // image tokens whose maps stay in the second cache
constexpr std::int64_t kGroups = 8;   // of blocks, whose sums are added at the end: the same for any number of threads
constexpr std::int64_t kMaxMasks = 4;

// The tensors of a call as the loops see them.
struct Call {
  explicit Call(const variable_list& t)
      : prompts(t[1].size(0)),
        masks(t[5].size(1)),
        channels(t[6].size(0)),
        out(t[9].size(0)),
        image_tokens(t[1].size(2)),
        rank(t[2].size(1)),
        image(floats(t[0])),
        scale(floats(t[1])),
        rows(floats(t[2])),
        row_weights(floats(t[3])),
        token_bias(floats(t[4])),
        filters(floats(t[5])),
        gain(floats(t[6])),
        norm_bias(floats(t[7])),
        weight(floats(t[8])),
        pixel_bias(floats(t[9])) {}

  static const float* floats(const at::Tensor& tensor) { return tensor.const_data_ptr<float>(); }

  std::int64_t prompts, masks, channels, out, image_tokens, rank;
  const float *image, *scale, *rows, *row_weights, *token_bias, *filters, *gain, *norm_bias, *weight, *pixel_bias;
};

// The left-hand operands of a call's products in bfloat16: rows [N,K',4c] and [N,4c,K'] with an even K', and the weight both
// ways.
struct Bf16Operands {
  Bf16Operands(const at::Tensor& all_rows, const at::Tensor& all_weight) {
    const auto odd = all_rows.size(1) % 2;
    rows = odd == 0 ? all_rows.to(at::kBFloat16) : at::constant_pad_nd(all_rows.to(at::kBFloat16), {0, 0, 0, odd});
    rows_transposed = rows.transpose(1, 2).contiguous();
    weight = all_weight.to(at::kBFloat16);
    weight_transposed = weight.t().contiguous();
  }

  static const at::BFloat16* data(const at::Tensor& tensor) { return tensor.const_data_ptr<at::BFloat16>(); }

  at::Tensor rows, rows_transposed, weight, weight_transposed;
};

std::uint16_t* bits(at::BFloat16* values) { return reinterpret_cast<std::uint16_t*>(values); }

// Part of a matrix in memory, `stride` floats from row to row.
at::Tensor matrix(const float* data, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  return at::from_blob(const_cast<float*>(data), {rows, columns}, {stride, 1}, at::kFloat);
}

// Scratch that a thread keeps.
template <class T>
T* scratch(std::vector<T>& memory, std::int64_t count) {
  if (std::ssize(memory) < count) memory.resize(static_cast<std::size_t>(count));
  return memory.data();
}

// The logits of `count` image tokens from `g` on of prompt `n`. x and pixels keep both maps for the backward pass, with
// `stride` floats from row to row.
void decode_block(const Call& c, const Bf16Operands* bf16, std::int64_t n, std::int64_t g, std::int64_t count, float* x,
                  float* pixels, std::int64_t stride, float* logits) {
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  thread_local std::vector<float> memory;
  const auto& kernels = kernels::mask_decoder_kernels();
  auto* hidden = scratch(memory, c.channels * count);
  thread_local std::vector<at::BFloat16> bf16_memory;
  const auto even = c.rank + c.rank % 2;
  auto* pairs = bf16 == nullptr ? nullptr : scratch(bf16_memory, std::max(even, c.channels) * count);
  kernels.scale_image(4 * c.channels, count, c.image + g, c.image_tokens, c.scale + n * c.image_tokens + g, c.token_bias, x,
                      stride);
  const auto* row_weights = c.row_weights + n * c.rank * c.image_tokens + g;
  if (bf16 != nullptr) {
    kernels.bf16_row_pairs(c.rank, count, row_weights, c.image_tokens, bits(pairs));
    multiply(4 * c.channels, count, even, Bf16Operands::data(bf16->rows_transposed) + n * 4 * c.channels * even, even, pairs, x,
             /*add=*/true, stride);
  } else {
    matrix(x, 4 * c.channels, count, stride)
        .addmm_(matrix(c.rows + n * c.rank * 4 * c.channels, c.rank, 4 * c.channels, 4 * c.channels).t(),
                matrix(row_weights, c.rank, count, c.image_tokens));
  }
  for (std::int64_t pixel = 0; pixel < 4; ++pixel) {
    kernels.norm_gelu(c.channels, count, c.gain, c.norm_bias, kEps, x + pixel * c.channels * stride, stride, hidden);
    auto* up = pixels + pixel * 4 * c.out * stride;
    if (bf16 != nullptr) {
      kernels.bf16_row_pairs(c.channels, count, hidden, count, bits(pairs));
      multiply(4 * c.out, count, c.channels, Bf16Operands::data(bf16->weight), c.channels, pairs, up, /*add=*/false, stride);
    } else {
      matrix(up, 4 * c.out, count, stride)
          .addmm_(matrix(c.weight, 4 * c.out, c.channels, c.channels), matrix(hidden, c.channels, count, count), /*beta=*/0);
    }
    for (std::int64_t subpixel = 0; subpixel < 4; ++subpixel) {
      kernels.gelu_dot(c.out, c.masks, count, c.pixel_bias, c.filters + n * c.masks * c.out, up + subpixel * c.out * stride,
                       stride, logits + ((n * c.masks * 4 + pixel) * 4 + subpixel) * c.image_tokens + g, 16 * c.image_tokens);
    }
  }
}

struct Gradients {
  const std::vector<at::Tensor>& kept_maps;  // by prompt: x, then pixels
  const float* logits;
  float *image, *scale, *row_weights;  // of the whole call
  float *rows, *filters;               // of one group of blocks
};

// The gradients of what decode_block read. Those of rows, filters and the image grow.
void backward_block(const Call& c, const Bf16Operands* bf16, std::int64_t n, std::int64_t g, std::int64_t count,
                    const Gradients& d) {
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  thread_local std::vector<float> memory;
  const auto& kernels = kernels::mask_decoder_kernels();
  auto* grad_x = scratch(memory, (5 * c.channels + 4 * c.out) * count);
  auto *grad_hidden = grad_x + 4 * c.channels * count, *grad_pixels = grad_hidden + c.channels * count;
  const auto* x = d.kept_maps[static_cast<std::size_t>(n)].const_data_ptr<float>();
  const auto* pixels = x + 4 * c.channels * c.image_tokens;
  thread_local std::vector<at::BFloat16> bf16_memory;
  auto* pairs = bf16 == nullptr ? nullptr : scratch(bf16_memory, std::max(4 * c.out, 4 * c.channels) * count);
  for (std::int64_t pixel = 0; pixel < 4; ++pixel) {
    for (std::int64_t subpixel = 0; subpixel < 4; ++subpixel) {
      kernels.gelu_dot_backward(c.out, c.masks, count, c.pixel_bias, c.filters + n * c.masks * c.out,
                                pixels + (pixel * 4 + subpixel) * c.out * c.image_tokens + g, c.image_tokens,
                                d.logits + ((n * c.masks * 4 + pixel) * 4 + subpixel) * c.image_tokens + g, 16 * c.image_tokens,
                                grad_pixels + subpixel * c.out * count, d.filters + n * c.masks * c.out);
    }
    if (bf16 != nullptr) {
      kernels.bf16_row_pairs(4 * c.out, count, grad_pixels, count, bits(pairs));
      multiply(c.channels, count, 4 * c.out, Bf16Operands::data(bf16->weight_transposed), 4 * c.out, pairs, grad_hidden);
    } else {
      matrix(grad_hidden, c.channels, count, count)
          .addmm_(matrix(c.weight, 4 * c.out, c.channels, c.channels).t(), matrix(grad_pixels, 4 * c.out, count, count),
                  /*beta=*/0);
    }
    kernels.norm_gelu_backward(c.channels, count, c.gain, c.norm_bias, kEps, x + pixel * c.channels * c.image_tokens + g,
                               c.image_tokens, grad_hidden, grad_x + pixel * c.channels * count, count);
  }
  const auto *rows = c.rows + n * c.rank * 4 * c.channels, *row_weights = c.row_weights + n * c.rank * c.image_tokens + g;
  auto *grad_rows = d.rows + n * c.rank * 4 * c.channels, *grad_row_weights = d.row_weights + n * c.rank * c.image_tokens + g;
  if (bf16 != nullptr) {
    thread_local std::vector<at::BFloat16> left_memory;
    auto* left = scratch(left_memory, std::max(c.rank, 4 * c.channels) * count);
    kernels.bf16_row_pairs(4 * c.channels, count, grad_x, count, bits(pairs));
    multiply(c.rank, count, 4 * c.channels, Bf16Operands::data(bf16->rows) + n * (c.rank + c.rank % 2) * 4 * c.channels,
             4 * c.channels, pairs, grad_row_weights, /*add=*/false, c.image_tokens);
    kernels.bf16_rows(4 * c.channels, count, grad_x, count, bits(left));
    pack_columns(left, 4 * c.channels, count, pairs);
    kernels.bf16_rows(c.rank, count, row_weights, c.image_tokens, bits(left));
    multiply(c.rank, 4 * c.channels, count, left, count, pairs, grad_rows, /*add=*/true);
  } else {
    const auto grad = matrix(grad_x, 4 * c.channels, count, count);
    matrix(grad_row_weights, c.rank, count, c.image_tokens)
        .addmm_(matrix(rows, c.rank, 4 * c.channels, 4 * c.channels), grad, /*beta=*/0);
    matrix(grad_rows, c.rank, 4 * c.channels, 4 * c.channels)
        .addmm_(matrix(row_weights, c.rank, count, c.image_tokens), grad.t());
  }
  kernels.scale_image_backward(4 * c.channels, count, c.image + g, c.image_tokens, c.scale + n * c.image_tokens + g, grad_x,
                               d.image + g, d.scale + n * c.image_tokens + g);
}

struct Fused : torch::autograd::Function<Fused> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& image, const at::Tensor& scale, const at::Tensor& rows,
                            const at::Tensor& row_weights, const at::Tensor& token_bias, const at::Tensor& filters,
                            const at::Tensor& gain, const at::Tensor& norm_bias, const at::Tensor& weight,
                            const at::Tensor& pixel_bias, bool keeps_maps, bool in_bf16) {
    variable_list inputs{image, scale, rows, row_weights, token_bias, filters, gain, norm_bias, weight, pixel_bias};
    const Call c(inputs);
    std::optional<Bf16Operands> bf16;
    if (in_bf16) bf16.emplace(rows, weight);
    const auto* operands = bf16 ? &*bf16 : nullptr;
    auto logits = at::empty({c.prompts, c.masks, 4, 4, c.image_tokens}, image.options());
    const auto blocks = (c.image_tokens + kBlock - 1) / kBlock;
    // A tensor for each prompt: what is larger the allocator gives back to the system, which clears it anew every time.
    std::vector<at::Tensor> kept_maps;
    for (std::int64_t n = 0; keeps_maps && n < c.prompts; ++n) {
      kept_maps.push_back(at::empty({4 * c.channels + 16 * c.out, c.image_tokens}, image.options()));
    }
    auto* all_logits = logits.data_ptr<float>();
    parallel_for(0, c.prompts * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      thread_local std::vector<float> memory;
      for (auto i = begin; i < end; ++i) {
        const auto n = i / blocks, g = i % blocks * kBlock, count = std::min(kBlock, c.image_tokens - g);
        if (keeps_maps) {
          auto* x = kept_maps[static_cast<std::size_t>(n)].mutable_data_ptr<float>();
          decode_block(c, operands, n, g, count, x + g, x + 4 * c.channels * c.image_tokens + g, c.image_tokens, all_logits);
        } else {
          auto* maps = scratch(memory, (4 * c.channels + 16 * c.out) * count);
          decode_block(c, operands, n, g, count, maps, maps + 4 * c.channels * count, count, all_logits);
        }
      }
      if (in_bf16) release_multiply();
    });
    if (keeps_maps) {
      inputs.insert(inputs.end(), kept_maps.begin(), kept_maps.end());
      context->save_for_backward(std::move(inputs));
      context->saved_data["bf16"] = in_bf16;
    }
    return logits;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Call c(saved);
    std::optional<Bf16Operands> bf16;
    if (context->saved_data["bf16"].toBool()) bf16.emplace(saved[2], saved[8]);
    const auto* operands = bf16 ? &*bf16 : nullptr;
    const auto grad = grads[0].contiguous();
    const auto& options = grad.options();
    auto image = at::zeros_like(saved[0]), scale = at::empty_like(saved[1]), row_weights = at::empty_like(saved[3]);
    auto rows = at::zeros({kGroups, c.prompts, c.rank, 4 * c.channels}, options);
    auto filters = at::zeros({kGroups, c.prompts, c.masks, c.out}, options);
    const variable_list kept_maps(saved.begin() + 10, saved.end());
    const Gradients all{kept_maps,
                        grad.const_data_ptr<float>(),
                        image.data_ptr<float>(),
                        scale.data_ptr<float>(),
                        row_weights.data_ptr<float>(),
                        rows.data_ptr<float>(),
                        filters.data_ptr<float>()};
    const auto blocks = (c.image_tokens + kBlock - 1) / kBlock;
    parallel_for(0, std::min(kGroups, blocks), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto group = begin; group < end; ++group) {
        auto of_group = all;
        of_group.rows += group * c.prompts * c.rank * 4 * c.channels;
        of_group.filters += group * c.prompts * c.masks * c.out;
        for (auto block = group; block < blocks; block += kGroups) {
          const auto g = block * kBlock;
          for (std::int64_t n = 0; n < c.prompts; ++n)
            backward_block(c, operands, n, g, std::min(kBlock, c.image_tokens - g), of_group);
        }
      }
      if (operands != nullptr) release_multiply();
    });
    return {image, scale, rows.sum(0), row_weights, {}, filters.sum(0), {}, {}, {}, {}, {}, {}};
  }
};

at::Tensor composed(const UpscaledImageTokens& tokens, const at::Tensor& filters, const UpscaleWeights& weights) {
  const auto n = filters.size(0), g = tokens.image.size(1), channels = weights.gain.size(0), out = weights.bias.size(0);
  const auto x =
      at::baddbmm(tokens.scale * tokens.image + tokens.bias.unsqueeze(1), tokens.rows.transpose(1, 2), tokens.row_weights);
  const auto by_token = x.view({n, 4, channels, g}).transpose(2, 3);  // [N,4,G,c]
  const auto hidden = at::gelu(at::layer_norm(by_token, {channels}, weights.gain, weights.norm_bias, kEps));
  const auto pixels = at::gelu(at::matmul(weights.weight, hidden.transpose(2, 3)) + weights.bias.repeat({4}).unsqueeze(1));
  return at::matmul(filters.view({n, 1, 1, -1, out}), pixels.view({n, 4, 4, out, g})).permute({0, 3, 1, 2, 4});
}

}  // namespace

at::Tensor upscaled_masks(const UpscaledImageTokens& tokens, const at::Tensor& filters, const UpscaleWeights& weights,
                          bool bf16) {
  bool fused = decoder_kernels().on() && filters.is_cpu() && tokens.image.size(1) % kernels::kImageTokenStep == 0 &&
               filters.size(1) <= kMaxMasks;
  for (const auto* tensor : {&tokens.image, &tokens.scale, &tokens.rows, &tokens.row_weights, &filters}) {
    fused = fused && tensor->scalar_type() == at::kFloat;
  }
  for (const auto* fixed : {&tokens.bias, &weights.gain, &weights.norm_bias, &weights.weight, &weights.bias}) {
    fused = fused && fixed->scalar_type() == at::kFloat && !(at::GradMode::is_enabled() && fixed->requires_grad());
  }
  if (!fused) return composed(tokens, filters, weights);
  bool keeps_maps = false;
  for (const auto* tensor : {&tokens.image, &tokens.scale, &tokens.rows, &tokens.row_weights, &filters}) {
    keeps_maps = keeps_maps || (at::GradMode::is_enabled() && tensor->requires_grad());
  }
  return Fused::apply(tokens.image.contiguous(), tokens.scale.contiguous(), tokens.rows.contiguous(),
                      tokens.row_weights.contiguous(), tokens.bias.contiguous(), filters.contiguous(),
                      weights.gain.contiguous(), weights.norm_bias.contiguous(), weights.weight.contiguous(),
                      weights.bias.contiguous(), keeps_maps,
                      bf16 && weights.gain.size(0) % 2 == 0 && can_multiply(at::kBFloat16));
}

}  // namespace cellsam::ops
