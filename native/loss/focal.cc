// Focal loss on logits (Lin et al., ICCV 2017): cross entropy that fades out where a prediction is already good.
//   mean of α_t (1-p_t)^γ BCE(z, g) over the pixels of each mask, p = σ(z), g the target; p_t = p for g = 1 and 1-p for 0,
//   α_t = α g + (1-α)(1-g); α < 0 leaves α_t out. Value and gradient are finite for every finite logit.
#include <ATen/ATen.h>

#include "loss/mask_loss_table.h"
#include "settings/focal.h"

namespace cellsam::loss {

namespace {

// 1 - p_t. Mixed from σ(z) and σ(-z), since 1 - σ(z) loses every digit for confident logits. lerp is exact for targets 0 and 1.
at::Tensor miss_of(const at::Tensor& logits, const at::Tensor& probability, const at::Tensor& target) {
  return at::lerp(probability, (-logits).sigmoid(), target);
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& target) {
  return at::binary_cross_entropy_with_logits(logits, target, {}, {}, at::Reduction::None);
}

// miss^exponent; exponents below 0 (the derivative for γ < 1) would be infinite where σ underflows.
at::Tensor power(const at::Tensor& miss, double exponent) {
  if (exponent == 1) return miss;
  if (exponent == 2) return miss.square();
  return (exponent < 1 ? miss.clamp_min(1e-30) : miss).pow(exponent);
}

at::Tensor alpha_of(const at::Tensor& target, double alpha) { return target * (2 * alpha - 1) + (1 - alpha); }

Term focal_term(const MaskInputs& masks, const LossSettings& settings) {
  const double alpha = settings[setting::focal::focal_alpha], gamma = settings[setting::focal::focal_gamma];
  const auto& [logits, target, probability, needs_gradient, counted] = masks;
  const auto entropy = cross_entropy(logits, target);
  auto value = entropy;
  // d value/dz = weight · (p - g) + dweight/dz · entropy, with weight = miss^γ and dmiss/dz = (1 - 2g) p (1 - p)
  at::Tensor gradient;
  if (needs_gradient) gradient = probability - target;
  if (gamma != 0) {
    const auto miss = miss_of(logits, probability, target);
    const auto weight = power(miss, gamma);
    value = entropy * weight;
    if (needs_gradient) {
      auto miss_grad = probability * (-logits).sigmoid() * (1 - 2 * target);
      gradient.mul_(weight).add_(miss_grad.mul_(power(miss, gamma - 1)).mul_(entropy), gamma);
    }
  }
  if (alpha >= 0) {
    const auto balance = alpha_of(target, alpha);
    value = value * balance;
    if (needs_gradient) gradient.mul_(balance);
  }
  if (counted.defined()) {
    if (needs_gradient) gradient.mul_(counted / counted.sum({1, 2}, /*keepdim=*/true).clamp_min(1));
    return {mean_counted(value, counted), gradient};
  }
  if (needs_gradient) gradient.div_(static_cast<double>(logits.size(1) * logits.size(2)));
  return {value.flatten(1).mean(1), gradient};
}

}  // namespace

MaskLossKind focal_loss() {
  return {"focal", setting::focal::focal_loss_weight, {setting::focal::focal_gamma, setting::focal::focal_alpha}, focal_term};
}

}  // namespace cellsam::loss
