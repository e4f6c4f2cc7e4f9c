#include <ATen/ATen.h>

#include <tuple>

#include "base/cuda_operator.h"
#include "loss/fused_mask_loss.h"

namespace cellsam::loss {
namespace {

using Kernel = std::tuple<at::Tensor, at::Tensor>(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& ids,
                                                  std::int64_t canvas, std::optional<std::int64_t> ignored,
                                                  at::ArrayRef<double> weights, double mask_logit, bool gradient);
constexpr std::int64_t kMostPixelsPerLogit = 16;  // along one side

}  // namespace

std::optional<FusedMaskLoss> fused_mask_loss_cuda(const UpsampledMasks& masks, const FusedLosses& losses, bool needs_gradient) {
  const auto &logits = masks.logits, &labels = masks.labels;
  if (logits.scalar_type() == at::kDouble) return std::nullopt;
  if (labels.size(0) > kMostPixelsPerLogit * logits.size(1) || labels.size(1) > kMostPixelsPerLogit * logits.size(2)) {
    return std::nullopt;
  }
  static const auto kernel = cuda_operator<Kernel>("mask_losses");
  static const auto usable = cuda_operator<bool(std::int64_t device)>("mask_losses_usable");
  if (!kernel || !usable || !usable->call(logits.device().index())) return std::nullopt;
  at::NoGradGuard no_grad;
  const double weights[] = {losses.focal_weight, losses.focal_alpha, losses.focal_gamma,
                            losses.dice_weight,  losses.dice_smooth, losses.boundary_weight};
  const auto [values, gradient] = kernel->call(logits.detach().to(at::kFloat), labels, masks.ids, masks.canvas,
                                               masks.ignored ? std::optional<std::int64_t>(*masks.ignored) : std::nullopt,
                                               weights, masks.iou_threshold.value_or(0), needs_gradient);  // [N,4]
  return FusedMaskLoss{values.narrow(1, 0, 3), masks.iou_threshold ? values.select(1, 3) : at::Tensor(),
                       needs_gradient ? gradient : at::Tensor()};
}

}  // namespace cellsam::loss
