#include "loss/detection.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/upload.h"
#include "engine.h"
#include "loss/detection_terms.h"
#include "loss/focal.h"
#include "loss/ignored.h"

namespace cellsam::loss {

namespace {

constexpr double kIgnoredShare = 0.5;  // of a box, from which on it lies in an ignored region

at::Tensor corners(const at::Tensor& boxes) {
  const auto centre = boxes.narrow(1, 0, 2), half = boxes.narrow(1, 2, 2) / 2;
  return at::cat({centre - half, centre + half}, 1);
}

// 1 - GIoU (Rezatofighi et al., CVPR 2019) of each box of `boxes` [M,4] and its partner in `truth` [M,4], both cx, cy, width,
// height -> [M].
at::Tensor giou_loss(const at::Tensor& boxes, const at::Tensor& truth) {
  const auto a = corners(boxes), b = corners(truth);
  auto area = [](const at::Tensor& size) { return size.select(1, 0) * size.select(1, 1); };
  const auto a_low = a.narrow(1, 0, 2), a_high = a.narrow(1, 2, 2), b_low = b.narrow(1, 0, 2), b_high = b.narrow(1, 2, 2);
  const auto overlap = area((at::minimum(a_high, b_high) - at::maximum(a_low, b_low)).clamp_min(0));
  const auto joined = area(a_high - a_low) + area(b_high - b_low) - overlap;
  const auto hull = area(at::maximum(a_high, b_high) - at::minimum(a_low, b_low));
  return 1 - (overlap / joined - (hull - joined) / hull);
}

// Every matched pair of all layers: positions in the flattened queries [L*B*Q], in the flattened class logits [L*B*Q*C], and in
// the targets of the batch one after another. [3,M] int64, layer by layer with the same number of pairs each.
at::Tensor pair_indices(const std::vector<Assignment>& found, const std::vector<Targets>& targets, const at::Tensor& labels,
                        std::int64_t queries, std::int64_t classes) {
  std::vector<std::int64_t> query_at, logit_at, target_at;
  const auto* label = labels.const_data_ptr<std::int64_t>();
  const auto images = targets.size();
  for (std::size_t task = 0, first = 0; task < found.size(); ++task) {
    if (task % images == 0) first = 0;
    for (std::size_t i = 0; i < found[task].rows.size(); ++i) {
      const auto query = static_cast<std::int64_t>(task) * queries + found[task].rows[i];
      const auto target = static_cast<std::int64_t>(first) + found[task].columns[i];
      query_at.push_back(query);
      target_at.push_back(target);
      logit_at.push_back(query * classes + label[target]);
    }
    first += targets[task % images].boxes.size(0);
  }
  auto all = at::empty({3, static_cast<std::int64_t>(query_at.size())}, at::kLong);
  auto* to = all.data_ptr<std::int64_t>();
  for (const auto* part : {&query_at, &logit_at, &target_at}) to = std::copy(part->begin(), part->end(), to);
  return all;
}

// Of the last layer's logits [B,Q,C], in the copy that the matching made: no wait for the device.
double class_error_of(const at::Tensor& logits, const at::Tensor& pairs, std::int64_t layers) {
  const auto per_layer = pairs.size(1) / layers;
  if (per_layer == 0) return 100;
  const auto classes = logits.size(2), before = (layers - 1) * logits.size(0) * logits.size(1);
  const auto last = pairs.narrow(1, pairs.size(1) - per_layer, per_layer);
  const auto guess = logits.reshape({-1, classes}).index_select(0, last[0] - before).argmax(1);
  const auto wrong = guess.ne(last[1].remainder(classes)).sum().item<std::int64_t>();
  return 100.0 * static_cast<double>(wrong) / static_cast<double>(per_layer);
}

at::Tensor join(const std::vector<Targets>& targets, at::Tensor Targets::*part, at::TensorOptions options) {
  std::vector<at::Tensor> parts;
  for (const auto& image : targets) parts.push_back((image.*part).detach().to(options));
  return at::cat(parts);
}

// 1 where the class of a query counts, 0 where it is left out, [L,B,Q,1] on the CPU; undefined when no target has an ignored
// region. `layers`: boxes [B,Q,4] on the CPU; row 0 of `pairs` are the matched queries.
at::Tensor counted_queries(const std::vector<at::Tensor>& boxes, const std::vector<Targets>& targets, const at::Tensor& pairs) {
  if (std::none_of(targets.begin(), targets.end(), [](const Targets& image) { return image.ignored.defined(); })) return {};
  const auto wide = at::stack(boxes).to(at::kDouble);  // [L,B,Q,4]
  const auto layers = wide.size(0), images = wide.size(1), queries = wide.size(2);
  auto counted = at::ones({layers, images, queries, 1}, at::kFloat);
  auto* count = counted.data_ptr<float>();
  for (std::int64_t image = 0; image < images; ++image) {
    if (!targets[image].ignored.defined()) continue;
    const IgnoredRegion region(targets[image].ignored);
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const auto first = (layer * images + image) * queries;
      const auto* box = wide.const_data_ptr<double>() + 4 * first;
      for (std::int64_t query = 0; query < queries; ++query, box += 4) {
        if (region.share(box[0], box[1], box[2], box[3]) >= kIgnoredShare) count[first + query] = 0;
      }
    }
  }
  const auto* matched = pairs.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < pairs.size(1); ++i) count[matched[i]] = 1;
  return counted;
}

// Of the layers that count, the later ones.
std::vector<at::Tensor> counting(const std::vector<at::Tensor>& layers, const DetectionLossOptions& options) {
  if (options.aux_loss || layers.empty()) return layers;
  return {layers.back()};
}

// As operations of automatic differentiation, which run on any device.
DetectionLoss composed_loss(const at::Tensor& logits, const at::Tensor& boxes, const at::Tensor& truth, const at::Tensor& pairs,
                            const at::Tensor& counted, const TermWeights& weights) {
  const auto layers = logits.size(0);
  const auto at_device = upload(pairs, logits.device());
  auto positive = at::zeros_like(logits, {}, at::MemoryFormat::Contiguous);
  positive.view({-1}).index_fill_(0, at_device[1], 1);
  const auto chosen = boxes.reshape({-1, 4}).index_select(0, at_device[0]);  // [M,4]
  const auto matched = truth.index_select(0, at_device[2]);

  auto class_loss = focal_elements(logits, positive, weights.focal_alpha, 2);
  if (counted.defined()) class_loss = class_loss * upload(counted, logits.device()).to(class_loss.options());
  const auto ce = class_loss.sum({1, 2, 3}) * weights.ce;  // [L]
  const auto bbox = (chosen - matched).abs().view({layers, -1}).sum(1) * weights.bbox;
  const auto giou = giou_loss(chosen, matched).view({layers, -1}).sum(1) * weights.giou;
  return {(ce + bbox + giou).sum(), ce[layers - 1].detach(), bbox[layers - 1].detach(), giou[layers - 1].detach()};
}

DetectionLoss known_loss(const at::Tensor& logits, const at::Tensor& boxes, const at::Tensor& truth, const at::Tensor& pairs,
                         const at::Tensor& counted, const TermWeights& weights) {
  const auto terms = detection_terms(logits, boxes, truth, pairs, counted, weights);
  const auto scalar = [&](double value) { return at::scalar_tensor(value, truth.options()); };
  return {terms.total, scalar(terms.ce.back()), scalar(terms.bbox.back()), scalar(terms.giou.back())};
}

}  // namespace

void DetectionLossOptions::read_weights(Options& options) {
  for (const auto& term : kDetectorTerms) this->*term.weight = options.read(term.setting, this->*term.weight);
}

void DetectionLossOptions::read(Options& options) {
  read_weights(options);
  focal_alpha = options.read(setting::stage1::focal_alpha, focal_alpha);
  aux_loss = options.read(setting::stage1::aux_loss, aux_loss);
  match_cost.class_weight = options.read(setting::stage1::set_cost_class, match_cost.class_weight);
  match_cost.bbox_weight = options.read(setting::stage1::set_cost_bbox, match_cost.bbox_weight);
  match_cost.giou_weight = options.read(setting::stage1::set_cost_giou, match_cost.giou_weight);
}

DetectionLoss detection_loss(const std::vector<at::Tensor>& logits, const std::vector<at::Tensor>& boxes,
                             const std::vector<Targets>& targets, const DetectionLossOptions& options) {
  LayerMatcher matcher(targets, options.match_cost);
  const auto of_logits = counting(logits, options), of_boxes = counting(boxes, options);
  for (std::size_t i = 0; i < std::min(of_logits.size(), of_boxes.size()); ++i) matcher.add(of_logits[i], of_boxes[i]);
  return detection_loss(logits, boxes, targets, options, matcher);
}

DetectionLoss detection_loss(const std::vector<at::Tensor>& logits, const std::vector<at::Tensor>& boxes,
                             const std::vector<Targets>& targets, const DetectionLossOptions& options, LayerMatcher& matcher) {
  if (logits.empty() || logits.size() != boxes.size() || targets.empty()) {
    throw Error("ERR_INVALID_ARGUMENT",
                "detection loss: give logits and boxes for every decoder layer, and the targets of every image");
  }
  const auto wide = logits[0].scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto all_logits = at::stack(counting(logits, options)).to(wide);  // [L,B,Q,C]
  const auto all_boxes = at::stack(counting(boxes, options)).to(wide);    // [L,B,Q,4]
  const auto layers = all_logits.size(0);
  const auto seen = matcher.finish();
  if (static_cast<std::int64_t>(seen.logits.size()) != layers) {
    throw Error("ERR_INVALID_ARGUMENT", "detection loss: the matching has seen another number of layers");
  }

  at::Tensor pairs, counted;
  {
    at::NoGradGuard no_grad;
    const auto labels = join(targets, &Targets::labels, at::TensorOptions(at::kCPU).dtype(at::kLong));
    pairs = pair_indices(seen.found, targets, labels, all_logits.size(2), all_logits.size(3));
    counted = counted_queries(seen.boxes, targets, pairs);
  }
  const auto truth =
      upload(join(targets, &Targets::boxes, at::TensorOptions(at::kCPU).dtype(wide)), all_boxes.device());  // [T,4]
  const auto count = static_cast<double>(std::max<std::int64_t>(1, truth.size(0)));
  const TermWeights weights{options.ce_weight / count, options.bbox_weight / count, options.giou_weight / count,
                            options.focal_alpha};
  auto loss = (all_logits.is_cpu() ? known_loss : composed_loss)(all_logits, all_boxes, truth, pairs, counted, weights);
  loss.class_error = class_error_of(seen.logits.back(), pairs, layers);
  return loss;
}

}  // namespace cellsam::loss
