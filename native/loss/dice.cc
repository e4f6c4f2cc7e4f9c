// Soft Dice loss on logits (Milletari et al., 3DV 2016): one minus the overlap of the predicted and the true mask.
//   1 - (2 Σpg + smooth) / (Σp + Σg + smooth) over the pixels of each mask, p = σ(logit), g the target
#include <ATen/ATen.h>

#include "loss/mask_loss_table.h"
#include "settings/dice.h"

namespace cellsam::loss {

namespace {

Term dice_term(const MaskInputs& masks, const LossSettings& settings) {
  const double smooth = settings[setting::dice::dice_smooth];
  const auto& [logits, whole_target, whole_probability, needs_gradient, counted] = masks;
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

}  // namespace

MaskLossKind dice_loss() { return {"dice", setting::dice::dice_loss_weight, {setting::dice::dice_smooth}, dice_term}; }

}  // namespace cellsam::loss
