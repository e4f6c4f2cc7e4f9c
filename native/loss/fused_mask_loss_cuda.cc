#include "loss/cuda_mask_terms.h"

#include <ATen/ATen.h>

#include <tuple>

#include "base/cuda_operator.h"

namespace cellsam::loss {
namespace {

using Kernel = std::tuple<at::Tensor, at::Tensor>(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& ids,
                                                  std::int64_t canvas, std::optional<std::int64_t> ignored,
                                                  at::ArrayRef<double> weights, double mask_logit, bool gradient);
constexpr std::int64_t kMostPixelsPerCell = 16;

}  // namespace

std::optional<MaskTerms> cuda_mask_terms(const UpsampledMasks& masks, const MaskLossOptions& options, bool needs_gradient) {
  const auto &logits = masks.logits, &labels = masks.labels;
  if (logits.scalar_type() == at::kDouble) return std::nullopt;
  if (labels.size(0) > kMostPixelsPerCell * logits.size(1) || labels.size(1) > kMostPixelsPerCell * logits.size(2)) {
    return std::nullopt;
  }
  static const auto kernel = cuda_operator<Kernel>("mask_losses");
  if (!kernel) return std::nullopt;
  at::NoGradGuard no_grad;
  const double weights[] = {options.focal_weight, options.focal_alpha, options.focal_gamma,
                            options.dice_weight,  options.dice_smooth, options.use_boundary ? options.boundary_weight : 0};
  const auto [answers, gradient] = kernel->call(logits.detach().to(at::kFloat), labels, masks.ids, masks.canvas,
                                                masks.ignored ? std::optional<std::int64_t>(*masks.ignored) : std::nullopt,
                                                weights, masks.iou_threshold.value_or(0), needs_gradient);
  const auto column = [&](std::int64_t i) { return answers.select(1, i); };
  return MaskTerms{column(0), column(1), column(2), masks.iou_threshold ? column(3) : at::Tensor(),
                   needs_gradient ? gradient : at::Tensor()};
}

}  // namespace cellsam::loss
