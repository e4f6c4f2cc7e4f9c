#include "ops/gelu_linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/autocast.h"
#include "ops/epilogues.h"

namespace cellsam::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct GeluLinear : torch::autograd::Function<GeluLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    context->save_for_backward({x, weight});
    return at::linear(at::gelu(x), weight, bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto grad = grads[0].reshape({-1, grads[0].size(-1)});
    const auto wide = x.reshape({-1, x.size(-1)});
    variable_list input_grads(3);
    if (context->needs_input_grad(0)) input_grads[0] = at::gelu_backward(grad.mm(weight), wide).view(x.sizes());
    if (context->needs_input_grad(1)) input_grads[1] = grad.t().mm(at::gelu(wide));
    if (context->needs_input_grad(2)) input_grads[2] = grad.sum(0);
    return input_grads;
  }
};

}  // namespace

at::Tensor gelu_linear(const at::Tensor& x, torch::nn::LinearImpl& layer, FrozenLinear& cast) {
  if (!may_fuse_epilogues(x) || !at::GradMode::is_enabled() || !x.requires_grad()) return cast.forward(layer, at::gelu(x));
  const auto type = bf16_autocast(at::kCPU) ? at::kBFloat16 : x.scalar_type();
  return GeluLinear::apply(x.to(type), layer.weight.to(type), layer.bias.to(type));
}

}  // namespace cellsam::ops
