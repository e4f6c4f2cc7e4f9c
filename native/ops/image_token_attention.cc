#include "ops/image_token_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/parallel.h"
#include "kernels/mask_decoder_kernels.h"
#include "ops/decoder_kernels.h"

namespace cellsam::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool has_token_kernels(const at::Tensor& content, const at::Tensor& scale, const at::Tensor& positional) {
  return decoder_kernels().on() && content.is_cpu() && content.scalar_type() == at::kFloat &&
         scale.scalar_type() == at::kFloat && positional.scalar_type() == at::kFloat &&
         content.size(2) % kernels::kImageTokenStep == 0;
}

// Calls body(prompt, offset of its first row of [N,J,G], offset of its row of [N,1,G]) for each prompt.
template <class Body>
void for_prompts(const at::Tensor& content, Body body) {
  const auto rows = content.size(1), image_tokens = content.size(2);
  parallel_for(0, content.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto n = begin; n < end; ++n) body(n, n * rows * image_tokens, n * image_tokens);
  });
}

struct SoftmaxOverImageTokens : torch::autograd::Function<SoftmaxOverImageTokens> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& content, const at::Tensor& scale,
                            const at::Tensor& positional) {
    auto out = at::empty_like(content);
    const auto *c = content.const_data_ptr<float>(), *s = scale.const_data_ptr<float>(),
               *p = positional.const_data_ptr<float>();
    auto* to = out.data_ptr<float>();
    for_prompts(content, [&](std::int64_t, std::int64_t at, std::int64_t token) {
      kernels::mask_decoder_kernels().softmax_over_image_tokens(content.size(1), content.size(2), c + at, s + token, p + at,
                                                                to + at);
    });
    context->save_for_backward({content, scale, out});
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto& content = saved[0];
    const auto grad = grads[0].contiguous();
    auto grad_content = at::empty_like(content), grad_scale = at::zeros_like(saved[1]),
         grad_positional = at::empty_like(content);
    const auto *c = content.const_data_ptr<float>(), *s = saved[1].const_data_ptr<float>();
    const auto *a = saved[2].const_data_ptr<float>(), *d = grad.const_data_ptr<float>();
    auto *grad_c = grad_content.data_ptr<float>(), *grad_s = grad_scale.data_ptr<float>(),
         *grad_p = grad_positional.data_ptr<float>();
    for_prompts(content, [&](std::int64_t, std::int64_t at, std::int64_t token) {
      kernels::mask_decoder_kernels().softmax_over_image_tokens_backward(
          content.size(1), content.size(2), c + at, s + token, a + at, d + at, grad_c + at, grad_s + token, grad_p + at);
    });
    return {grad_content, grad_scale, grad_positional};
  }
};

struct SoftmaxOverPromptTokens : torch::autograd::Function<SoftmaxOverPromptTokens> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& content, const at::Tensor& scale,
                            const at::Tensor& positional, const at::Tensor& bias, std::int64_t heads) {
    auto out = at::empty_like(content);
    const auto *c = content.const_data_ptr<float>(), *s = scale.const_data_ptr<float>(),
               *p = positional.const_data_ptr<float>();
    const auto* b = bias.const_data_ptr<float>();
    auto* to = out.data_ptr<float>();
    for_prompts(content, [&](std::int64_t n, std::int64_t at, std::int64_t token) {
      kernels::mask_decoder_kernels().softmax_over_prompt_tokens(heads, content.size(1) / heads, content.size(2), c + at,
                                                                 s + token, p + at, b + n * content.size(1), to + at);
    });
    context->save_for_backward({content, scale, out});
    context->saved_data["heads"] = heads;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto& content = saved[0];
    const auto heads = context->saved_data["heads"].toInt(), tokens = content.size(1) / heads;
    const auto grad = grads[0].contiguous();
    auto grad_content = at::empty_like(content), grad_scale = at::zeros_like(saved[1]),
         grad_positional = at::empty_like(content);
    auto grad_bias = at::zeros({content.size(0), content.size(1), 1}, content.options());
    const auto *c = content.const_data_ptr<float>(), *s = saved[1].const_data_ptr<float>();
    const auto *a = saved[2].const_data_ptr<float>(), *d = grad.const_data_ptr<float>();
    auto *grad_c = grad_content.data_ptr<float>(), *grad_s = grad_scale.data_ptr<float>(),
         *grad_p = grad_positional.data_ptr<float>();
    auto* grad_b = grad_bias.data_ptr<float>();
    for_prompts(content, [&](std::int64_t n, std::int64_t at, std::int64_t token) {
      kernels::mask_decoder_kernels().softmax_over_prompt_tokens_backward(heads, tokens, content.size(2), c + at, s + token,
                                                                          a + at, d + at, grad_c + at, grad_s + token,
                                                                          grad_p + at, grad_b + n * content.size(1));
    });
    return {grad_content, grad_scale, grad_positional, grad_bias, {}};
  }
};

struct Quadratic : torch::autograd::Function<Quadratic> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& linear, const at::Tensor& gram) {
    // Autocast makes the product bfloat16, in which a sum over all rows would lose what the norm behind it needs.
    auto product = at::bmm(gram, x).to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
    const auto value = (product + linear).mul_(x).sum(1, true);
    context->save_for_backward({x, product.mul_(2).add_(linear)});
    return value;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto scaled = grads[0] * saved[0];
    return {grads[0] * saved[1], scaled, at::bmm(scaled, saved[0].transpose(1, 2))};
  }
};

}  // namespace

at::Tensor softmax_over_image_tokens(const at::Tensor& content, const at::Tensor& scale, const at::Tensor& positional) {
  if (!has_token_kernels(content, scale, positional)) return (scale * content + positional).softmax(-1);
  return SoftmaxOverImageTokens::apply(content.contiguous(), scale.contiguous(), positional.contiguous());
}

at::Tensor softmax_over_prompt_tokens(const at::Tensor& content, const at::Tensor& scale, const at::Tensor& positional,
                                      const at::Tensor& bias, std::int64_t heads) {
  if (has_token_kernels(content, scale, positional) && content.size(1) / heads <= kernels::kMaxPromptTokens) {
    return SoftmaxOverPromptTokens::apply(content.contiguous(), scale.contiguous(), positional.contiguous(), bias.contiguous(),
                                          heads);
  }
  const auto scores = scale * content + positional + bias;
  return scores.view({scores.size(0), heads, -1, scores.size(2)}).softmax(2).view(scores.sizes());
}

at::Tensor quadratic(const at::Tensor& x, const at::Tensor& linear, const at::Tensor& gram) {
  return Quadratic::apply(x, linear, gram);
}

}  // namespace cellsam::ops
