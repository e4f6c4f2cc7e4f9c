#include "loss/detection.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "engine.h"
#include "loss/detection_terms.h"
#include "loss/ignored.h"

namespace cellsam::loss {

namespace {

constexpr double kIgnoredShare = 0.5;  // of a box, from which on it lies in an ignored region

[[noreturn]] void fail_layers() {
  throw Error("ERR_INVALID_ARGUMENT",
              "detection loss: give logits and boxes for every decoder layer, and the targets of every image");
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

// Of the last layer's logits [B,Q,C] on the CPU.
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

// 1 where the class of a query counts, 0 where it is left out, [L,B,Q,1]; undefined when no target has an ignored region.
// boxes [L,B,Q,4]; row 0 of `pairs` are the matched queries. All on the CPU.
at::Tensor counted_queries(const at::Tensor& boxes, const std::vector<Targets>& targets, const at::Tensor& pairs) {
  if (std::none_of(targets.begin(), targets.end(), [](const Targets& image) { return image.ignored.defined(); })) return {};
  const auto wide = boxes.to(at::kDouble);
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

// Of the layers that count, the later ones: [L,...] of all as one tensor.
at::Tensor counting(const at::Tensor& layers, const DetectionLossOptions& options) {
  return options.aux_loss ? layers : layers.slice(0, layers.size(0) - 1);
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
  if (logits.empty() || logits.size() != boxes.size()) fail_layers();
  LayerMatcher matcher(targets, options.match_cost);
  for (auto i = options.aux_loss ? 0 : logits.size() - 1; i < logits.size(); ++i) matcher.add(logits[i], boxes[i]);
  return detection_loss(at::stack(logits), at::stack(boxes), targets, options, matcher);
}

DetectionLoss detection_loss(const at::Tensor& logits, const at::Tensor& boxes, const std::vector<Targets>& targets,
                             const DetectionLossOptions& options, LayerMatcher& matcher) {
  if (targets.empty()) fail_layers();
  const auto wide = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const Predictions predictions{counting(logits, options).to(wide), counting(boxes, options).to(wide)};
  const auto layers = predictions.logits.size(0);
  auto found = matcher.finish();
  if (static_cast<std::int64_t>(found.logits.size()) != layers) {
    throw Error("ERR_INVALID_ARGUMENT", "detection loss: the matching has seen another number of layers");
  }

  at::Tensor pairs, counted, truth;
  Predictions seen;
  {
    at::NoGradGuard no_grad;
    seen = {at::stack(found.logits), at::stack(found.boxes)};
    const auto labels = join(targets, &Targets::labels, at::TensorOptions(at::kCPU).dtype(at::kLong));
    truth = join(targets, &Targets::boxes, at::TensorOptions(at::kCPU).dtype(wide));  // [T,4]
    pairs = pair_indices(found.found, targets, labels, seen.logits.size(2), seen.logits.size(3));
    counted = counted_queries(seen.boxes, targets, pairs);
  }
  const auto count = static_cast<double>(std::max<std::int64_t>(1, truth.size(0)));
  const TermWeights weights{options.ce_weight / count, options.bbox_weight / count, options.giou_weight / count,
                            options.focal_alpha};
  const auto terms = detection_terms(predictions, seen, truth, pairs, counted, weights);
  return {terms.total, terms.ce, terms.bbox, terms.giou, class_error_of(found.logits.back(), pairs, layers)};
}

}  // namespace cellsam::loss
