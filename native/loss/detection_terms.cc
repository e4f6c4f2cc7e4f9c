#include "loss/detection_terms.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "kernels/focal_class_kernel.h"

namespace cellsam::loss {

namespace {

constexpr std::int64_t kSums = 4;  // total, ce, bbox, giou

struct KnownGradients : torch::autograd::Function<KnownGradients> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& logits, const at::Tensor& boxes,
                            const at::Tensor& value, const at::Tensor& of_logits, const at::Tensor& of_boxes) {
    context->save_for_backward({of_logits, of_boxes});
    return value.clone();  // an input that is returned as it is would be marked as a view of itself
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list outer) {
    const auto saved = context->get_saved_variables();
    return {saved[0] * outer[0], saved[1] * outer[0], at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// One side of two overlapping intervals; equal ends share a derivative, as in at::minimum and at::maximum.
struct Side {
  double inner, outer;                                  // lengths of intersection and hull; `inner` may be negative
  double inner_low, inner_high, outer_low, outer_high;  // derivatives of both in the ends of the first interval

  Side(double low, double high, double other_low, double other_high)
      : inner(std::min(high, other_high) - std::max(low, other_low)),
        outer(std::max(high, other_high) - std::min(low, other_low)),
        inner_low(-share(low > other_low, low == other_low)),
        inner_high(share(high < other_high, high == other_high)),
        outer_low(-share(low < other_low, low == other_low)),
        outer_high(share(high > other_high, high == other_high)) {}

  static double share(bool first, bool equal) { return equal ? 0.5 : first ? 1 : 0; }
};

// 1 - GIoU (Rezatofighi et al., CVPR 2019) of two boxes cx, cy, width, height; adds `scale` times its gradient in the first.
double giou_loss(const double* box, const double* truth, double scale, double* gradient) {
  const auto side = [&](int i) {
    return Side(box[i] - box[i + 2] / 2, box[i] + box[i + 2] / 2, truth[i] - truth[i + 2] / 2, truth[i] + truth[i + 2] / 2);
  };
  const Side x = side(0), y = side(1);
  const double across = std::max(x.inner, 0.0), down = std::max(y.inner, 0.0);
  const double overlap = across * down, joined = box[2] * box[3] + truth[2] * truth[3] - overlap, hull = x.outer * y.outer;
  // Of 2 - overlap / joined - joined / hull, where joined holds the overlap too.
  const double in_joined = overlap / (joined * joined) - 1 / hull;
  const double in_overlap = -1 / joined - in_joined, in_hull = joined / (hull * hull);
  const double size[2] = {box[2], box[3]}, inner[2] = {across, down};
  const Side* sides[2] = {&x, &y};
  for (int i = 0; i < 2; ++i) {
    const auto& own = *sides[i];
    const auto& other = *sides[1 - i];
    const double of_inner = own.inner < 0 ? 0 : in_overlap * inner[1 - i];
    const double of_outer = in_hull * other.outer, of_size = in_joined * size[1 - i];
    const double low = of_inner * own.inner_low + of_outer * own.outer_low - of_size;
    const double high = of_inner * own.inner_high + of_outer * own.outer_high + of_size;
    gradient[i] += scale * (low + high);
    gradient[i + 2] += scale * (high - low) / 2;
  }
  return 2 - overlap / joined - joined / hull;
}

template <class Number>
struct Sums {
  const Number *logits, *boxes, *truth;
  Number *of_logits, *of_boxes;
  std::int64_t layers, queries, classes, pairs;  // queries and pairs of one layer
  const std::int64_t *query_at, *logit_at, *target_at;
  const float* counted;  // null: all count

  double class_sum(std::int64_t layer, double alpha, double scale, std::vector<Number>& weight) const {
    const auto count = queries * classes, first = layer * count;
    weight.assign(count, static_cast<Number>(alpha < 0 ? 1 : 1 - alpha));
    if (counted != nullptr) {
      for (std::int64_t i = 0; i < count; ++i) weight[i] *= static_cast<Number>(counted[layer * queries + i / classes]);
    }
    for (auto i = layer * pairs; i < (layer + 1) * pairs; ++i) {
      weight[logit_at[i] - first] = static_cast<Number>(alpha < 0 ? -1 : -alpha);
    }
    return kernels::class_loss(logits + first, weight.data(), count, scale, of_logits + first);
  }

  // L1 and 1 - GIoU of the matched boxes.
  std::pair<double, double> box_sums(std::int64_t layer, double bbox_scale, double giou_scale) const {
    double distance = 0, giou = 0;
    for (auto i = layer * pairs; i < (layer + 1) * pairs; ++i) {
      double box[4], target[4], gradient[4];
      for (int k = 0; k < 4; ++k) {
        box[k] = boxes[4 * query_at[i] + k];
        target[k] = truth[4 * target_at[i] + k];
        const double off = box[k] - target[k];
        distance += std::abs(off);
        gradient[k] = off > 0 ? bbox_scale : off < 0 ? -bbox_scale : 0;
      }
      giou += giou_loss(box, target, giou_scale, gradient);
      for (int k = 0; k < 4; ++k) of_boxes[4 * query_at[i] + k] = static_cast<Number>(gradient[k]);
    }
    return {distance, giou};
  }
};

}  // namespace

DetectionTerms detection_terms(const Predictions& predictions, const Predictions& seen, const at::Tensor& truth,
                               const at::Tensor& pairs, const at::Tensor& counted, const TermWeights& weights) {
  at::Tensor answer;  // the gradients in logits and boxes, then the four sums
  const auto &logits = seen.logits, &boxes = seen.boxes;
  const auto layers = logits.size(0), logit_count = logits.numel(), box_count = boxes.numel();
  const bool to_device = !predictions.logits.is_cpu();
  {
    at::NoGradGuard no_grad;
    const auto plain_truth = truth.contiguous(), plain_pairs = pairs.contiguous();
    answer = at::zeros({logit_count + box_count + kSums}, logits.options().pinned_memory(to_device));
    AT_DISPATCH_FLOATING_TYPES(logits.scalar_type(), "detection_terms", [&] {
      const auto* index = plain_pairs.const_data_ptr<std::int64_t>();
      const auto all = pairs.size(1);
      auto* of_logits = answer.data_ptr<scalar_t>();
      const Sums<scalar_t> sums{.logits = logits.const_data_ptr<scalar_t>(),
                                .boxes = boxes.const_data_ptr<scalar_t>(),
                                .truth = plain_truth.const_data_ptr<scalar_t>(),
                                .of_logits = of_logits,
                                .of_boxes = of_logits + logit_count,
                                .layers = layers,
                                .queries = logits.size(1) * logits.size(2),
                                .classes = logits.size(3),
                                .pairs = all / layers,
                                .query_at = index,
                                .logit_at = index + all,
                                .target_at = index + 2 * all,
                                .counted = counted.defined() ? counted.const_data_ptr<float>() : nullptr};
      std::vector<scalar_t> weight;
      double total = 0, ce = 0, bbox = 0, giou = 0;
      for (std::int64_t layer = 0; layer < layers; ++layer) {
        ce = weights.ce * sums.class_sum(layer, weights.focal_alpha, weights.ce, weight);
        const auto [distance, overlap] = sums.box_sums(layer, weights.bbox, weights.giou);
        bbox = weights.bbox * distance;
        giou = weights.giou * overlap;
        total += ce + bbox + giou;
      }
      auto* sum = of_logits + logit_count + box_count;
      for (const double value : {total, ce, bbox, giou}) *sum++ = static_cast<scalar_t>(value);
    });
    if (to_device) answer = answer.to(predictions.logits.device(), /*non_blocking=*/true);
  }
  const auto sum = [&](std::int64_t which) { return answer[logit_count + box_count + which]; };
  const bool trains = at::GradMode::is_enabled() && (predictions.logits.requires_grad() || predictions.boxes.requires_grad());
  const auto total = trains ? KnownGradients::apply(predictions.logits, predictions.boxes, sum(0),
                                                    answer.narrow(0, 0, logit_count).view(logits.sizes()),
                                                    answer.narrow(0, logit_count, box_count).view(boxes.sizes()))
                            : sum(0);
  return {total, sum(1), sum(2), sum(3)};
}

}  // namespace cellsam::loss
