// Stage 1: trains CellFinder's head, its backbone or SAM's backbone with the DETR criterion.
#include <ATen/Parallel.h>

#include <algorithm>
#include <set>

#include "base/stop_if_abandoned.h"
#include "cache/backbones.h"
#include "data/instances.h"
#include "loss/detection.h"
#include "train/stage.h"
#include "weights/layout_names.h"

namespace cellsam::train {
namespace {

const std::string kHead = "cellfinder.decode_head.";

bool is_prediction_layer(const std::string& name) {
  for (const char* part : {"class_embed.", "bbox_embed.", "pattern.", "position.", "adapt_pos1d.", "adapt_pos2d."}) {
    if (name.starts_with(kHead + "transformer." + part)) return true;
  }
  return false;
}

class DetectorStage final : public Stage {
 public:
  DetectorStage(const StageContext& context, Options& options) : context_(context) {
    const auto type = options.text("stage1_type", "cellfinder");
    const auto scope = options.text("head_scope", "full");
    const bool freeze_backbone = options.flag("freeze_backbone", false);
    const double backbone_lr_ratio = options.number("backbone_lr_ratio", 1.0);
    if (!std::set<std::string>{"cellfinder", "image_encoder", "all_backbones", "head_only"}.contains(type)) {
      throw Error("ERR_INVALID_ARGUMENT",
                  "stage1_type must be cellfinder, image_encoder, all_backbones or head_only, not \"" + type + "\"");
    }
    if (scope != "full" && scope != "prediction") {
      throw Error("ERR_INVALID_ARGUMENT", "head_scope must be full or prediction, not \"" + scope + "\"");
    }
    on_body_ = type != "image_encoder";
    on_encoder_ = type == "image_encoder" || type == "all_backbones";
    train_body_ = !freeze_backbone && (type == "cellfinder" || type == "all_backbones");
    train_encoder_ = !freeze_backbone && on_encoder_;

    const auto features = cache::read_feature_options(options);
    if (on_body_ && !train_body_)
      frozen_body_ = add_frozen_backbone(context_.model, context_.setting_of(cache::Backbone::CellFinder), features);
    if (on_encoder_ && !train_encoder_)
      frozen_encoder_ = add_frozen_backbone(context_.model, context_.setting_of(cache::Backbone::Sam), features);

    set_loss_weights(options);
    loss_.focal_alpha = options.number("focal_alpha", loss_.focal_alpha);
    loss_.aux_loss = options.flag("aux_loss", loss_.aux_loss);
    loss_.match_cost.class_weight = options.number("set_cost_class", loss_.match_cost.class_weight);
    loss_.match_cost.bbox_weight = options.number("set_cost_bbox", loss_.match_cost.bbox_weight);
    loss_.match_cost.giou_weight = options.number("set_cost_giou", loss_.match_cost.giou_weight);
    cache::set_checkpointing(context_.model, options.flag("activation_checkpointing", false));

    const std::string encoder = cache::mask_model_prefix(context_.model) + "image_encoder.";
    model::NamedTensors head, backbone;
    for (const auto& entry : context_.model->unique_parameters()) {
      const auto& name = entry.first;
      if (name.starts_with(weights::kCellFinderBackbone)) {
        if (train_body_) backbone.push_back(entry);
      } else if (name.starts_with(kHead)) {
        if (scope == "full" || is_prediction_layer(name)) head.push_back(entry);
      } else if (train_encoder_ && name.starts_with(encoder) && !name.starts_with(encoder + "neck.")) {
        backbone.push_back(entry);
      }
    }
    choose(context_.model, {{"head", head}, {"backbone", backbone, backbone_lr_ratio}}, options.number("weight_decay", 1e-4));
  }

  int number() const override { return 1; }
  void set_loss_weights(Options& options) final {
    loss_.ce_weight = read_weight(options, "ce_loss_weight", loss_.ce_weight);
    loss_.bbox_weight = read_weight(options, "bbox_loss_weight", loss_.bbox_weight);
    loss_.giou_weight = read_weight(options, "giou_loss_weight", loss_.giou_weight);
  }
  const std::vector<std::string>& loss_names() const override {
    static const std::vector<std::string> names{"total_loss", "loss_ce", "loss_bbox", "loss_giou"};
    return names;
  }

  std::optional<at::Tensor> train_batch(const data::Batch& batch, double scale, const DrawKey&,
                                        const Control& control) override {
    auto loss = criterion(batch, control);
    stop_if_abandoned(control);
    (loss.total * scale).backward();
    return report(loss);
  }

  std::optional<at::Tensor> evaluate_batch(const data::Batch& batch, const Control& control) override {
    at::NoGradGuard no_grad;
    return report(criterion(batch, control));
  }

 private:
  static at::Tensor report(const loss::DetectionLoss& loss) {
    return at::stack({loss.total.detach(), loss.ce.detach(), loss.bbox.detach(), loss.giou.detach()}).to(at::kFloat);
  }

  // Over both backbones the head is shared and the losses add up.
  loss::DetectionLoss criterion(const data::Batch& batch, const Control& control) {
    const auto targets = targets_of(batch);
    loss::DetectionLoss sum;
    if (on_body_) sum = score(features(frozen_body_, cache::Backbone::CellFinder, batch, control), targets, control);
    if (on_encoder_) {
      stop_if_abandoned(control);
      auto loss = score(features(frozen_encoder_, cache::Backbone::Sam, batch, control), targets, control);
      if (!on_body_) return loss;
      sum.total = sum.total + loss.total;
      sum.ce = sum.ce + loss.ce;
      sum.bbox = sum.bbox + loss.bbox;
      sum.giou = sum.giou + loss.giou;
    }
    return sum;
  }

  // [B,g,g,E]
  at::Tensor features(cache::FrozenBackbone* frozen, cache::Backbone backbone, const data::Batch& batch,
                      const Control& control) {
    return frozen != nullptr ? (*frozen)(batch, control)
                             : cache::run_backbone(context_.model, context_.setting_of(backbone), batch.images);
  }

  loss::DetectionLoss score(const at::Tensor& features, const std::vector<loss::Targets>& targets, const Control& control) {
    stop_if_abandoned(control);
    std::vector<at::Tensor> logits, boxes;
    loss::LayerMatcher matcher(targets, loss_.match_cost, matching_threads(targets.size()));
    const auto last = static_cast<std::size_t>(context_.model->size().decoder_layers) - 1;
    {
      device::Autocast autocast(context_.device, context_.precision);
      const auto match = [&](std::size_t layer, const at::Tensor& of_logits, const at::Tensor& of_boxes) {
        if (layer == last || loss_.aux_loss) matcher.add(of_logits, of_boxes);
      };
      const auto detections = context_.model->cellfinder->head(features.permute({0, 3, 1, 2}), std::nullopt, nullptr, match);
      for (const auto& layer : detections.logits) logits.push_back(layer.to(at::kFloat));
      for (const auto& layer : detections.boxes) boxes.push_back(layer.to(at::kFloat));
    }
    return loss::detection_loss(logits, boxes, targets, loss_, matcher);
  }

  // Beside the threads that compute the layers: a problem is solved in a small part of the time that a layer takes. While a GPU
  // computes, the session's threads have nothing else to do. A single thread matches when the layers are done.
  std::int64_t matching_threads(std::size_t images) const {
    const std::int64_t budget = at::get_num_threads(), problems = static_cast<std::int64_t>(images);
    if (context_.device.is_cpu()) return std::min(budget - 1, problems);
    return budget == 1 ? 0 : std::min(budget, problems * (loss_.aux_loss ? context_.model->size().decoder_layers : 1));
  }

  static std::vector<loss::Targets> targets_of(const data::Batch& batch) {
    const auto height = batch.labels.size(1), width = batch.labels.size(2);
    std::vector<loss::Targets> targets;
    for (std::size_t i = 0; i < batch.instances.size(); ++i) {
      const auto& instances = batch.instances[i];
      const auto boxes = data::to_normalized(instances.boxes, height, width);
      targets.push_back({boxes, at::zeros({boxes.size(0)}, at::kLong)});  // class 0 is "cell"
      if (instances.has_ignored) targets.back().ignored = batch.labels[static_cast<std::int64_t>(i)].eq(data::kIgnore);
    }
    return targets;
  }

  StageContext context_;
  loss::DetectionLossOptions loss_;
  bool on_body_ = true, on_encoder_ = false, train_body_ = true, train_encoder_ = false;
  cache::FrozenBackbone *frozen_body_ = nullptr, *frozen_encoder_ = nullptr;  // null: not used, or it trains
};

}  // namespace

std::unique_ptr<Stage> open_detector_stage(const StageContext& context, Options& options) {
  return std::make_unique<DetectorStage>(context, options);
}

}  // namespace cellsam::train
