#include "ops/image_token_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/parallel.h"
#include "kernels/mask_decoder_kernels.h"

namespace cellsam::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool has_token_kernels(const at::Tensor& own, const at::Tensor& scale, const at::Tensor& placed) {
  return own.is_cpu() && own.scalar_type() == at::kFloat && scale.scalar_type() == at::kFloat &&
         placed.scalar_type() == at::kFloat && own.size(2) % kernels::kCellStep == 0;
}

// Calls `body(n, first row * cells, first cell)` for each prompt.
template <class Body>
void for_prompts(const at::Tensor& own, Body body) {
  const auto rows = own.size(1), cells = own.size(2);
  parallel_for(0, own.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto n = begin; n < end; ++n) body(n, n * rows * cells, n * cells);
  });
}

struct OverCells : torch::autograd::Function<OverCells> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& own, const at::Tensor& scale,
                            const at::Tensor& placed) {
    auto out = at::empty_like(own);
    const auto *o = own.const_data_ptr<float>(), *s = scale.const_data_ptr<float>(), *p = placed.const_data_ptr<float>();
    auto* to = out.data_ptr<float>();
    for_prompts(own, [&](std::int64_t, std::int64_t at, std::int64_t cell) {
      kernels::cell_kernels().over_cells(own.size(1), own.size(2), o + at, s + cell, p + at, to + at);
    });
    context->save_for_backward({own, scale, out});
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list outer) {
    const auto saved = context->get_saved_variables();
    const auto& own = saved[0];
    const auto grad = outer[0].contiguous();
    auto grad_own = at::empty_like(own), grad_scale = at::zeros_like(saved[1]), grad_placed = at::empty_like(own);
    const auto *o = own.const_data_ptr<float>(), *s = saved[1].const_data_ptr<float>();
    const auto *a = saved[2].const_data_ptr<float>(), *d = grad.const_data_ptr<float>();
    auto *go = grad_own.data_ptr<float>(), *gs = grad_scale.data_ptr<float>(), *gp = grad_placed.data_ptr<float>();
    for_prompts(own, [&](std::int64_t, std::int64_t at, std::int64_t cell) {
      kernels::cell_kernels().over_cells_backward(own.size(1), own.size(2), o + at, s + cell, a + at, d + at, go + at,
                                                  gs + cell, gp + at);
    });
    return {grad_own, grad_scale, grad_placed};
  }
};

struct OverTokens : torch::autograd::Function<OverTokens> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& own, const at::Tensor& scale, const at::Tensor& placed,
                            const at::Tensor& level, std::int64_t heads) {
    auto out = at::empty_like(own);
    const auto *o = own.const_data_ptr<float>(), *s = scale.const_data_ptr<float>(), *p = placed.const_data_ptr<float>();
    const auto* l = level.const_data_ptr<float>();
    auto* to = out.data_ptr<float>();
    for_prompts(own, [&](std::int64_t n, std::int64_t at, std::int64_t cell) {
      kernels::cell_kernels().over_tokens(heads, own.size(1) / heads, own.size(2), o + at, s + cell, p + at,
                                          l + n * own.size(1), to + at);
    });
    context->save_for_backward({own, scale, out});
    context->saved_data["heads"] = heads;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list outer) {
    const auto saved = context->get_saved_variables();
    const auto& own = saved[0];
    const auto heads = context->saved_data["heads"].toInt(), tokens = own.size(1) / heads;
    const auto grad = outer[0].contiguous();
    auto grad_own = at::empty_like(own), grad_scale = at::zeros_like(saved[1]), grad_placed = at::empty_like(own);
    auto grad_level = at::zeros({own.size(0), own.size(1), 1}, own.options());
    const auto *o = own.const_data_ptr<float>(), *s = saved[1].const_data_ptr<float>();
    const auto *a = saved[2].const_data_ptr<float>(), *d = grad.const_data_ptr<float>();
    auto *go = grad_own.data_ptr<float>(), *gs = grad_scale.data_ptr<float>(), *gp = grad_placed.data_ptr<float>();
    auto* gl = grad_level.data_ptr<float>();
    for_prompts(own, [&](std::int64_t n, std::int64_t at, std::int64_t cell) {
      kernels::cell_kernels().over_tokens_backward(heads, tokens, own.size(2), o + at, s + cell, a + at, d + at, go + at,
                                                   gs + cell, gp + at, gl + n * own.size(1));
    });
    return {grad_own, grad_scale, grad_placed, grad_level, {}};
  }
};

struct Quadratic : torch::autograd::Function<Quadratic> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& linear, const at::Tensor& gram) {
    auto product = at::bmm(gram, x);
    const auto value = (product + linear).mul_(x).sum(1, true);
    context->save_for_backward({x, product.mul_(2).add_(linear)});
    return value;
  }

  static variable_list backward(AutogradContext* context, variable_list outer) {
    const auto saved = context->get_saved_variables();
    const auto scaled = outer[0] * saved[0];
    return {outer[0] * saved[1], scaled, at::bmm(scaled, saved[0].transpose(1, 2))};
  }
};

}  // namespace

at::Tensor over_cells(const at::Tensor& own, const at::Tensor& scale, const at::Tensor& placed) {
  if (!has_token_kernels(own, scale, placed)) return (scale * own + placed).softmax(-1);
  return OverCells::apply(own.contiguous(), scale.contiguous(), placed.contiguous());
}

at::Tensor over_tokens(const at::Tensor& own, const at::Tensor& scale, const at::Tensor& placed, const at::Tensor& level,
                       std::int64_t heads) {
  if (has_token_kernels(own, scale, placed) && own.size(1) / heads <= kernels::kMostTokens) {
    return OverTokens::apply(own.contiguous(), scale.contiguous(), placed.contiguous(), level.contiguous(), heads);
  }
  const auto scores = scale * own + placed + level;
  return scores.view({scores.size(0), heads, -1, scores.size(2)}).softmax(2).view(scores.sizes());
}

at::Tensor quadratic(const at::Tensor& x, const at::Tensor& linear, const at::Tensor& gram) {
  return Quadratic::apply(x, linear, gram);
}

}  // namespace cellsam::ops
