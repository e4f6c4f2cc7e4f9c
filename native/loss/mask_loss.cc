#include "loss/mask_loss.h"

#include <ATen/ATen.h>

namespace cellsam::loss {

MaskLoss mask_loss(const at::Tensor& logits, const at::Tensor& target, const MaskLossOptions& options,
                   const at::Tensor& ignored) {
  const auto masks = read_mask_inputs(logits, target, ignored);
  at::NoGradGuard no_grad;
  Term total{masks.logits.new_zeros({logits.size(0)}), {}};
  if (masks.needs_gradient) total.gradient = at::zeros_like(masks.logits);
  const auto& losses = mask_losses();
  std::vector<at::Tensor> weighted(losses.size(), at::zeros_like(total.value));
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const double weight = options.weight(i);
    if (weight == 0) continue;
    const auto term = losses[i].term(masks, options.settings(i));
    if (term.gradient.defined()) total.gradient.add_(term.gradient, weight);
    weighted[i] = term.value * weight;
    total.value += weighted[i];
  }
  at::AutoGradMode with_grad(masks.needs_gradient);
  return {at::stack(weighted, 1), attach(logits, total)};
}

at::Tensor single_mask_loss(const MaskLossKind& loss, const at::Tensor& logits, const at::Tensor& target,
                            const LossSettings& settings, const at::Tensor& ignored) {
  const auto masks = read_mask_inputs(logits, target, ignored);
  Term term;
  {
    at::NoGradGuard no_grad;
    term = loss.term(masks, settings);
  }
  return attach(logits, term);
}

}  // namespace cellsam::loss
