#include "loss/mask_inputs.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <sstream>

#include "engine.h"

namespace cellsam::loss {

namespace {

struct KnownGradient : torch::autograd::Function<KnownGradient> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& logits, const at::Tensor& value,
                            const at::Tensor& gradient) {
    context->save_for_backward({gradient});
    context->saved_data["dtype"] = logits.scalar_type();
    return value.clone();  // an input that is returned as it is would be marked as a view of itself
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list outer) {
    auto gradient = context->get_saved_variables()[0] * outer[0].view({-1, 1, 1});
    return {gradient.to(context->saved_data["dtype"].toScalarType()), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

MaskInputs read_mask_inputs(const at::Tensor& logits, const at::Tensor& target, const at::Tensor& ignored) {
  if (logits.dim() != 3 || logits.sizes() != target.sizes() || logits.size(1) == 0 || logits.size(2) == 0) {
    std::ostringstream message;
    message << "a mask loss needs logits and target of one shape [N,H,W] with H, W >= 1, got " << logits.sizes() << " and "
            << target.sizes();
    throw Error("ERR_INVALID_ARGUMENT", message.str());
  }
  if (ignored.defined() && (ignored.dim() != 3 || (ignored.size(0) != 1 && ignored.size(0) != logits.size(0)) ||
                            ignored.size(1) != logits.size(1) || ignored.size(2) != logits.size(2))) {
    std::ostringstream message;
    message << "the ignored pixels of a mask loss must be [N,H,W] or [1,H,W] like the logits " << logits.sizes() << ", got "
            << ignored.sizes();
    throw Error("ERR_INVALID_ARGUMENT", message.str());
  }
  const bool needs_gradient = at::GradMode::is_enabled() && logits.requires_grad();
  at::NoGradGuard no_grad;
  const bool wide = logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kDouble;
  auto detached = logits.detach().to(wide ? logits.scalar_type() : at::kFloat);
  return {detached, target.detach().to(detached.options()), detached.sigmoid(), needs_gradient,
          ignored.defined() ? ignored.detach().eq(0).to(detached.options()) : at::Tensor()};
}

at::Tensor mean_counted(const at::Tensor& values, const at::Tensor& counted) {
  return (values * counted).flatten(1).sum(1) / counted.flatten(1).sum(1).clamp_min(1);
}

at::Tensor attach(const at::Tensor& logits, const Term& term) {
  return term.gradient.defined() ? KnownGradient::apply(logits, term.value, term.gradient) : term.value;
}

}  // namespace cellsam::loss
