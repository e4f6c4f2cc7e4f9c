#include "loss/mask_loss.h"

#include <ATen/ATen.h>

#include "loss/boundary.h"
#include "loss/dice.h"
#include "loss/focal.h"

namespace cellsam::loss {

MaskLoss mask_loss(const at::Tensor& logits, const at::Tensor& target, const MaskLossOptions& options,
                   const at::Tensor& ignored) {
  const auto prompts = read_prompts(logits, target, ignored);
  at::NoGradGuard no_grad;
  Term total{prompts.logits.new_zeros({logits.size(0)}), {}};
  if (prompts.needs_gradient) total.gradient = at::zeros_like(prompts.logits);
  auto add = [&](double weight, const Term& term) {
    if (term.gradient.defined()) total.gradient.add_(term.gradient, weight);
    auto value = term.value * weight;
    total.value += value;
    return value;
  };
  const auto zeros = total.value.clone();
  MaskLoss loss{zeros, zeros, zeros, {}};
  if (options.focal_weight != 0) {
    loss.focal = add(options.focal_weight, focal_term(prompts, options.focal_alpha, options.focal_gamma));
  }
  if (options.dice_weight != 0) loss.dice = add(options.dice_weight, dice_term(prompts, options.dice_smooth));
  if (options.use_boundary && options.boundary_weight != 0)
    loss.boundary = add(options.boundary_weight, boundary_term(prompts));
  at::AutoGradMode with_grad(prompts.needs_gradient);
  loss.total = attach(logits, total);
  return loss;
}

}  // namespace cellsam::loss
