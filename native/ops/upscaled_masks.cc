#include "ops/upscaled_masks.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/parallel.h"
#include "kernels/mask_decoder_kernels.h"
#include "ops/small_matmul.h"

namespace cellsam::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr float kEps = 1e-6F;         // of SAM's LayerNorm2d
constexpr std::int64_t kBlock = 256;  // cells whose maps stay in the second cache
constexpr std::int64_t kGroups = 8;   // of blocks, whose sums are added at the end: the same for any number of threads
constexpr std::int64_t kMostMasks = 4;

// The tensors of a call as the loops see them.
struct Call {
  explicit Call(const variable_list& t)
      : prompts(t[1].size(0)),
        masks(t[5].size(1)),
        channels(t[6].size(0)),
        out(t[9].size(0)),
        cells(t[1].size(2)),
        rank(t[2].size(1)),
        image(floats(t[0])),
        scale(floats(t[1])),
        rows(floats(t[2])),
        shares(floats(t[3])),
        level(floats(t[4])),
        filters(floats(t[5])),
        gain(floats(t[6])),
        norm_bias(floats(t[7])),
        weight(floats(t[8])),
        bias(floats(t[9])) {}

  static const float* floats(const at::Tensor& tensor) { return tensor.const_data_ptr<float>(); }

  std::int64_t prompts, masks, channels, out, cells, rank;
  const float *image, *scale, *rows, *shares, *level, *filters, *gain, *norm_bias, *weight, *bias;
};

// The left-hand operands of a call's products in bfloat16: rows [N,K',4c] and [N,4c,K'] with an even K', and the weight both
// ways.
struct HalfOperands {
  HalfOperands(const at::Tensor& all_rows, const at::Tensor& all_weight) {
    const auto odd = all_rows.size(1) % 2;
    rows = odd == 0 ? all_rows.to(at::kBFloat16) : at::constant_pad_nd(all_rows.to(at::kBFloat16), {0, 0, 0, odd});
    rows_across = rows.transpose(1, 2).contiguous();
    weight = all_weight.to(at::kBFloat16);
    weight_across = weight.t().contiguous();
  }

  static const at::BFloat16* data(const at::Tensor& tensor) { return tensor.const_data_ptr<at::BFloat16>(); }

  at::Tensor rows, rows_across, weight, weight_across;
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

// The logits of `count` cells from `g` on of prompt `n`. x and pixels keep both maps for the backward pass, with `stride`
// floats from row to row.
void decode_block(const Call& c, const HalfOperands* half, std::int64_t n, std::int64_t g, std::int64_t count, float* x,
                  float* pixels, std::int64_t stride, float* logits) {
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  thread_local std::vector<float> memory;
  const auto& kernels = kernels::cell_kernels();
  auto* hidden = scratch(memory, c.channels * count);
  thread_local std::vector<at::BFloat16> half_memory;
  const auto even = c.rank + c.rank % 2;
  auto* pairs = half == nullptr ? nullptr : scratch(half_memory, std::max(even, c.channels) * count);
  kernels.scale_image(4 * c.channels, count, c.image + g, c.cells, c.scale + n * c.cells + g, c.level, x, stride);
  const auto* shares = c.shares + n * c.rank * c.cells + g;
  if (half != nullptr) {
    kernels.half_pairs(c.rank, count, shares, c.cells, bits(pairs));
    multiply(4 * c.channels, count, even, HalfOperands::data(half->rows_across) + n * 4 * c.channels * even, even, pairs, x,
             /*add=*/true, stride);
  } else {
    matrix(x, 4 * c.channels, count, stride)
        .addmm_(matrix(c.rows + n * c.rank * 4 * c.channels, c.rank, 4 * c.channels, 4 * c.channels).t(),
                matrix(shares, c.rank, count, c.cells));
  }
  for (std::int64_t quarter = 0; quarter < 4; ++quarter) {
    kernels.norm_gelu(c.channels, count, c.gain, c.norm_bias, kEps, x + quarter * c.channels * stride, stride, hidden);
    auto* up = pixels + quarter * 4 * c.out * stride;
    if (half != nullptr) {
      kernels.half_pairs(c.channels, count, hidden, count, bits(pairs));
      multiply(4 * c.out, count, c.channels, HalfOperands::data(half->weight), c.channels, pairs, up, /*add=*/false, stride);
    } else {
      matrix(up, 4 * c.out, count, stride)
          .addmm_(matrix(c.weight, 4 * c.out, c.channels, c.channels), matrix(hidden, c.channels, count, count), /*beta=*/0);
    }
    for (std::int64_t part = 0; part < 4; ++part) {
      kernels.gelu_dot(c.out, c.masks, count, c.bias, c.filters + n * c.masks * c.out, up + part * c.out * stride, stride,
                       logits + ((n * c.masks * 4 + quarter) * 4 + part) * c.cells + g, 16 * c.cells);
    }
  }
}

struct Gradients {
  const std::vector<at::Tensor>& kept;  // by prompt: x, then pixels
  const float* logits;
  float *image, *scale, *shares;  // of the whole call
  float *rows, *filters;          // of one group of blocks
};

// The gradients of what decode_block read. Those of rows, filters and the image grow.
void backward_block(const Call& c, const HalfOperands* half, std::int64_t n, std::int64_t g, std::int64_t count,
                    const Gradients& d) {
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  thread_local std::vector<float> memory;
  const auto& kernels = kernels::cell_kernels();
  auto* grad_x = scratch(memory, (5 * c.channels + 4 * c.out) * count);
  auto *grad_hidden = grad_x + 4 * c.channels * count, *grad_pixels = grad_hidden + c.channels * count;
  const auto* x = d.kept[static_cast<std::size_t>(n)].const_data_ptr<float>();
  const auto* pixels = x + 4 * c.channels * c.cells;
  thread_local std::vector<at::BFloat16> half_memory;
  auto* pairs = half == nullptr ? nullptr : scratch(half_memory, std::max(4 * c.out, 4 * c.channels) * count);
  for (std::int64_t quarter = 0; quarter < 4; ++quarter) {
    for (std::int64_t part = 0; part < 4; ++part) {
      kernels.gelu_dot_backward(c.out, c.masks, count, c.bias, c.filters + n * c.masks * c.out,
                                pixels + (quarter * 4 + part) * c.out * c.cells + g, c.cells,
                                d.logits + ((n * c.masks * 4 + quarter) * 4 + part) * c.cells + g, 16 * c.cells,
                                grad_pixels + part * c.out * count, d.filters + n * c.masks * c.out);
    }
    if (half != nullptr) {
      kernels.half_pairs(4 * c.out, count, grad_pixels, count, bits(pairs));
      multiply(c.channels, count, 4 * c.out, HalfOperands::data(half->weight_across), 4 * c.out, pairs, grad_hidden);
    } else {
      matrix(grad_hidden, c.channels, count, count)
          .addmm_(matrix(c.weight, 4 * c.out, c.channels, c.channels).t(), matrix(grad_pixels, 4 * c.out, count, count),
                  /*beta=*/0);
    }
    kernels.norm_gelu_backward(c.channels, count, c.gain, c.norm_bias, kEps, x + quarter * c.channels * c.cells + g, c.cells,
                               grad_hidden, grad_x + quarter * c.channels * count, count);
  }
  const auto *rows = c.rows + n * c.rank * 4 * c.channels, *shares = c.shares + n * c.rank * c.cells + g;
  auto *grad_rows = d.rows + n * c.rank * 4 * c.channels, *grad_shares = d.shares + n * c.rank * c.cells + g;
  if (half != nullptr) {
    thread_local std::vector<at::BFloat16> left_memory;
    auto* left = scratch(left_memory, std::max(c.rank, 4 * c.channels) * count);
    kernels.half_pairs(4 * c.channels, count, grad_x, count, bits(pairs));
    multiply(c.rank, count, 4 * c.channels, HalfOperands::data(half->rows) + n * (c.rank + c.rank % 2) * 4 * c.channels,
             4 * c.channels, pairs, grad_shares, /*add=*/false, c.cells);
    kernels.half_rows(4 * c.channels, count, grad_x, count, bits(left));
    pack_columns(left, 4 * c.channels, count, pairs);
    kernels.half_rows(c.rank, count, shares, c.cells, bits(left));
    multiply(c.rank, 4 * c.channels, count, left, count, pairs, grad_rows, /*add=*/true);
  } else {
    const auto grad = matrix(grad_x, 4 * c.channels, count, count);
    matrix(grad_shares, c.rank, count, c.cells).addmm_(matrix(rows, c.rank, 4 * c.channels, 4 * c.channels), grad, /*beta=*/0);
    matrix(grad_rows, c.rank, 4 * c.channels, 4 * c.channels).addmm_(matrix(shares, c.rank, count, c.cells), grad.t());
  }
  kernels.scale_image_backward(4 * c.channels, count, c.image + g, c.cells, c.scale + n * c.cells + g, grad_x, d.image + g,
                               d.scale + n * c.cells + g);
}

struct Fused : torch::autograd::Function<Fused> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& image, const at::Tensor& scale, const at::Tensor& rows,
                            const at::Tensor& shares, const at::Tensor& level, const at::Tensor& filters,
                            const at::Tensor& gain, const at::Tensor& norm_bias, const at::Tensor& weight,
                            const at::Tensor& bias, bool keeps, bool in_half) {
    variable_list inputs{image, scale, rows, shares, level, filters, gain, norm_bias, weight, bias};
    const Call c(inputs);
    std::optional<HalfOperands> half;
    if (in_half) half.emplace(rows, weight);
    const auto* operands = half ? &*half : nullptr;
    auto logits = at::empty({c.prompts, c.masks, 4, 4, c.cells}, image.options());
    const auto blocks = (c.cells + kBlock - 1) / kBlock;
    // A tensor for each prompt: what is larger the allocator gives back to the system, which clears it anew every time.
    std::vector<at::Tensor> kept;
    for (std::int64_t n = 0; keeps && n < c.prompts; ++n) {
      kept.push_back(at::empty({4 * c.channels + 16 * c.out, c.cells}, image.options()));
    }
    auto* answer = logits.data_ptr<float>();
    parallel_for(0, c.prompts * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      thread_local std::vector<float> memory;
      for (auto i = begin; i < end; ++i) {
        const auto n = i / blocks, g = i % blocks * kBlock, count = std::min(kBlock, c.cells - g);
        if (keeps) {
          auto* x = kept[static_cast<std::size_t>(n)].mutable_data_ptr<float>();
          decode_block(c, operands, n, g, count, x + g, x + 4 * c.channels * c.cells + g, c.cells, answer);
        } else {
          auto* maps = scratch(memory, (4 * c.channels + 16 * c.out) * count);
          decode_block(c, operands, n, g, count, maps, maps + 4 * c.channels * count, count, answer);
        }
      }
      if (in_half) release_multiply();
    });
    if (keeps) {
      inputs.insert(inputs.end(), kept.begin(), kept.end());
      context->save_for_backward(std::move(inputs));
      context->saved_data["half"] = in_half;
    }
    return logits;
  }

  static variable_list backward(AutogradContext* context, variable_list outer) {
    const auto saved = context->get_saved_variables();
    const Call c(saved);
    std::optional<HalfOperands> half;
    if (context->saved_data["half"].toBool()) half.emplace(saved[2], saved[8]);
    const auto* operands = half ? &*half : nullptr;
    const auto grad = outer[0].contiguous();
    const auto& options = grad.options();
    auto image = at::zeros_like(saved[0]), scale = at::empty_like(saved[1]), shares = at::empty_like(saved[3]);
    auto rows = at::zeros({kGroups, c.prompts, c.rank, 4 * c.channels}, options);
    auto filters = at::zeros({kGroups, c.prompts, c.masks, c.out}, options);
    const variable_list kept(saved.begin() + 10, saved.end());
    const Gradients all{kept,
                        grad.const_data_ptr<float>(),
                        image.data_ptr<float>(),
                        scale.data_ptr<float>(),
                        shares.data_ptr<float>(),
                        rows.data_ptr<float>(),
                        filters.data_ptr<float>()};
    const auto blocks = (c.cells + kBlock - 1) / kBlock;
    parallel_for(0, std::min(kGroups, blocks), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto group = begin; group < end; ++group) {
        auto own = all;
        own.rows += group * c.prompts * c.rank * 4 * c.channels;
        own.filters += group * c.prompts * c.masks * c.out;
        for (auto block = group; block < blocks; block += kGroups) {
          const auto g = block * kBlock;
          for (std::int64_t n = 0; n < c.prompts; ++n) backward_block(c, operands, n, g, std::min(kBlock, c.cells - g), own);
        }
      }
      if (operands != nullptr) release_multiply();
    });
    return {image, scale, rows.sum(0), shares, {}, filters.sum(0), {}, {}, {}, {}, {}, {}};
  }
};

at::Tensor composed(const UpscaledCells& cells, const at::Tensor& filters, const UpscaleWeights& weights) {
  const auto n = filters.size(0), g = cells.image.size(1), channels = weights.gain.size(0), out = weights.bias.size(0);
  const auto x = at::baddbmm(cells.scale * cells.image + cells.level.unsqueeze(1), cells.rows.transpose(1, 2), cells.shares);
  const auto by_cell = x.view({n, 4, channels, g}).transpose(2, 3);  // [N,4,G,c]
  const auto hidden = at::gelu(at::layer_norm(by_cell, {channels}, weights.gain, weights.norm_bias, kEps));
  const auto pixels = at::gelu(at::matmul(weights.weight, hidden.transpose(2, 3)) + weights.bias.repeat({4}).unsqueeze(1));
  return at::matmul(filters.view({n, 1, 1, -1, out}), pixels.view({n, 4, 4, out, g})).permute({0, 3, 1, 2, 4});
}

}  // namespace

at::Tensor upscaled_masks(const UpscaledCells& cells, const at::Tensor& filters, const UpscaleWeights& weights, bool half) {
  bool fused = filters.is_cpu() && cells.image.size(1) % kernels::kCellStep == 0 && filters.size(1) <= kMostMasks;
  for (const auto* tensor : {&cells.image, &cells.scale, &cells.rows, &cells.shares, &filters}) {
    fused = fused && tensor->scalar_type() == at::kFloat;
  }
  for (const auto* fixed : {&cells.level, &weights.gain, &weights.norm_bias, &weights.weight, &weights.bias}) {
    fused = fused && fixed->scalar_type() == at::kFloat && !(at::GradMode::is_enabled() && fixed->requires_grad());
  }
  if (!fused) return composed(cells, filters, weights);
  bool keeps = false;
  for (const auto* tensor : {&cells.image, &cells.scale, &cells.rows, &cells.shares, &filters}) {
    keeps = keeps || (at::GradMode::is_enabled() && tensor->requires_grad());
  }
  return Fused::apply(cells.image.contiguous(), cells.scale.contiguous(), cells.rows.contiguous(), cells.shares.contiguous(),
                      cells.level.contiguous(), filters.contiguous(), weights.gain.contiguous(), weights.norm_bias.contiguous(),
                      weights.weight.contiguous(), weights.bias.contiguous(), keeps,
                      half && weights.gain.size(0) % 2 == 0 && can_multiply(at::kBFloat16));
}

}  // namespace cellsam::ops
