#include "loss/dice.h"

#include <ATen/ATen.h>

#include "engine.h"

namespace cellsam::loss {

Term dice_term(const Prompts& prompts, double smooth) {
  if (!(smooth > 0)) throw Error("ERR_INVALID_ARGUMENT", "dice loss: smooth must be greater than 0 (0/0 for an empty mask)");
  at::NoGradGuard no_grad;
  const auto& [logits, whole_target, whole_probability, needs_gradient, counted] = prompts;
  // A pixel that is left out is one where neither mask has anything.
  const auto target = counted.defined() ? whole_target * counted : whole_target;
  const auto probability = counted.defined() ? whole_probability * counted : whole_probability;
  const auto upper = (probability * target).flatten(1).sum(1) * 2 + smooth;              // [N]
  const auto lower = probability.flatten(1).sum(1) + target.flatten(1).sum(1) + smooth;  // [N]
  at::Tensor gradient;
  if (needs_gradient) {
    // d(1 - upper/lower)/dp = (upper - 2 g lower) / lower², and dp/dz = σ(z) σ(-z)
    const auto scale = lower.square().reciprocal().view({-1, 1, 1});
    gradient = (upper.view({-1, 1, 1}) - 2 * target * lower.view({-1, 1, 1})).mul_(scale);
    gradient.mul_(probability).mul_((-logits).sigmoid());
  }
  return {1 - upper / lower, gradient};
}

at::Tensor dice_per_prompt(const at::Tensor& logits, const at::Tensor& target, double smooth, const at::Tensor& ignored) {
  return attach(logits, dice_term(read_prompts(logits, target, ignored), smooth));
}

}  // namespace cellsam::loss
