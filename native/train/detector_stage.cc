// Stage 1: trains CellFinder's head, its backbone or SAM's backbone with the DETR criterion.
#include <ATen/Parallel.h>

#include <algorithm>
#include <map>

#include "base/cast_weights.h"
#include "base/stop_if_abandoned.h"
#include "cache/backbones.h"
#include "data/instances.h"
#include "loss/dense.h"
#include "loss/detection.h"
#include "model/dense_head.h"
#include "settings/stage1.h"
#include "settings/training.h"
#include "train/lora.h"
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

// Weights and biases of linear layers, by their names.
std::vector<at::Tensor> linear_parameters(const model::NamedTensors& parameters) {
  const std::map<std::string, at::Tensor> by_name(parameters.begin(), parameters.end());
  std::vector<at::Tensor> linear;
  for (const auto& [name, tensor] : parameters) {
    if (name.ends_with("in_proj_weight") || name.ends_with("in_proj_bias")) linear.push_back(tensor);
    if (!name.ends_with(".weight") || tensor.dim() != 2) continue;
    const auto bias = by_name.find(name.substr(0, name.rfind('.')) + ".bias");
    if (bias != by_name.end()) linear.insert(linear.end(), {tensor, bias->second});
  }
  return linear;
}

// One of the two backbones that the head can be trained on.
struct HeadInput {
  cache::Backbone backbone;
  bool used = false, trains = false;
  cache::FrozenBackbone* frozen = nullptr;  // when it is used and does not train
};

class DetectorStage final : public Stage {
 public:
  DetectorStage(const StageContext& context, Options& options) : context_(context) {
    const auto type = options.read(setting::stage1::stage1_type);
    const bool whole_head = options.read(setting::stage1::head_scope) == "full";
    const bool freeze_backbone = options.read(setting::stage1::freeze_backbone);
    const double backbone_lr_ratio = options.read(setting::training::backbone_lr_ratio);
    cellfinder_.used = type != "image_encoder";
    sam_.used = type == "image_encoder" || type == "all_backbones";
    cellfinder_.trains = !freeze_backbone && (type == "cellfinder" || type == "all_backbones");
    sam_.trains = !freeze_backbone && sam_.used;

    const auto features = cache::read_feature_options(options);
    for (auto* input : {&cellfinder_, &sam_}) {
      if (input->used && !input->trains)
        input->frozen = add_frozen_backbone(context_.model, context_.setting_of(input->backbone), features);
    }
    loss_.read(options);
    dense_weight_ = options.read(setting::stage1::dense_loss_weight);
    if (dense_weight_ > 0) {
      dense_head_ = model::DenseHead(context_.model->size().detector_dim);
      dense_head_->to(context_.device);
      bring("dense_head", *dense_head_);
    }
    cache::set_checkpointing(context_.model, options.read(setting::training::activation_checkpointing));

    const std::string encoder = cache::mask_model_prefix(context_.model) + "image_encoder.";
    model::NamedTensors head, backbone;
    for (const auto& entry : context_.model->unique_parameters()) {
      const auto& name = entry.first;
      if (name.starts_with(weights::kCellFinderBackbone)) {
        if (cellfinder_.trains) backbone.push_back(entry);
      } else if (name.starts_with(kHead)) {
        if (whole_head || is_prediction_layer(name)) head.push_back(entry);
      } else if (sam_.trains && name.starts_with(encoder) && !name.starts_with(encoder + "neck.")) {
        backbone.push_back(entry);
      }
    }
    const auto lora = read_lora_options(options);
    choose(context_.model,
           {{"head", head},
            {"dense_head", own()},
            {"backbone", learning_weights(backbone, lora), backbone_lr_ratio, lora.low_rank}},
           options.read(setting::training::weight_decay));
    if (context_.precision == device::Precision::bf16 && !context_.device.is_cpu()) cast_ = linear_parameters(trainable());
  }

  int number() const override { return 1; }
  void set_loss_weights(Options& options) override {
    auto changed = loss_;
    changed.read_weights(options);
    loss_ = changed;
  }
  const std::vector<std::string>& loss_names() const override {
    static const auto names = [] {
      std::vector<std::string> all{"total_loss"};
      for (const auto& term : loss::kDetectorTerms) all.push_back("loss_" + std::string(term.name));
      return all;
    }();
    return names;
  }

  bool divides() const override { return true; }
  std::int64_t averaged_over(const data::Batch& batch, bool) const override {
    std::int64_t boxes = 0;
    for (const auto& image : batch.instances) boxes += image.boxes.size(0);
    return boxes;
  }

  std::optional<at::Tensor> train_batch(const data::Batch& batch, double scale, const DrawKey&,
                                        const Control& control) override {
    at::Tensor dense;
    auto loss = criterion(batch, control, dense_weight_ > 0 ? &dense : nullptr);
    stop_if_abandoned(control);
    const auto objective = dense.defined() ? loss.total + dense_weight_ * dense : loss.total;
    objective.backward(at::full({}, scale, objective.options()));
    return report(loss);
  }

  std::optional<at::Tensor> evaluate_batch(const data::Batch& batch, const Control& control) override {
    at::NoGradGuard no_grad;
    return report(criterion(batch, control));
  }

 private:
  static at::Tensor report(const loss::DetectionLoss& loss) {
    std::vector<at::Tensor> losses{loss.total.detach()};
    for (const auto& term : loss::kDetectorTerms) losses.push_back((loss.*term.value).detach());
    return at::stack(losses).to(at::kFloat);
  }

  // Over both backbones the heads are shared and the losses add up. Adds that of the dense head to `dense`, if given.
  loss::DetectionLoss criterion(const data::Batch& batch, const Control& control, at::Tensor* dense = nullptr) {
    const auto targets = targets_of(batch);
    const CastWeights cast(cast_);
    loss::DetectionLoss sum;
    for (const auto* input : {&cellfinder_, &sam_}) {
      if (!input->used) continue;
      stop_if_abandoned(control);
      const auto loss = score(features(*input, batch, control), targets, control, dense);
      if (!sum.total.defined()) {
        sum = loss;
        continue;
      }
      sum.total = sum.total + loss.total;
      for (const auto& term : loss::kDetectorTerms) sum.*term.value = sum.*term.value + loss.*term.value;
    }
    return sum;
  }

  // [B,g,g,E]
  at::Tensor features(const HeadInput& input, const data::Batch& batch, const Control& control) {
    if (input.frozen != nullptr) return (*input.frozen)(batch, control);
    return cache::run_backbone(context_.model, context_.setting_of(input.backbone), batch.images);
  }

  loss::DetectionLoss score(const at::Tensor& features, const std::vector<loss::Targets>& targets, const Control& control,
                            at::Tensor* dense) {
    stop_if_abandoned(control);
    at::Tensor logits, boxes;
    model::DensePredictions of_tokens;
    loss::LayerMatcher matcher(targets, loss_.match_cost, matching_threads(targets.size()));
    {
      device::Autocast autocast(context_.device, context_.precision);
      const auto match = [&](std::int64_t first, const at::Tensor& of_logits, const at::Tensor& of_boxes) {
        const auto skipped = loss_.aux_loss ? 0 : context_.model->size().decoder_layers - 1 - first;  // all but the last
        if (skipped < of_logits.size(0)) matcher.add(of_logits.slice(0, skipped), of_boxes.slice(0, skipped));
      };
      const auto detections = context_.model->cellfinder->head(features.permute({0, 3, 1, 2}), std::nullopt, nullptr, match);
      logits = detections.logits.to(at::kFloat);
      boxes = detections.boxes.to(at::kFloat);
      if (dense != nullptr) of_tokens = dense_head_(detections.tokens);
    }
    if (dense != nullptr) {
      const auto loss = loss::dense_loss(of_tokens.logits, of_tokens.boxes, features.size(1), features.size(2), targets, loss_);
      *dense = dense->defined() ? *dense + loss : loss;
    }
    return loss::detection_loss(logits, boxes, targets, loss_, matcher);
  }

  // Beside the threads that compute the layers: a matching is solved in a small part of the time that a layer takes. While a
  // GPU computes, the session's threads have nothing else to do. A single thread matches when the layers are done.
  std::int64_t matching_threads(std::size_t images) const {
    const std::int64_t budget = at::get_num_threads(), tasks = static_cast<std::int64_t>(images);
    if (context_.device.is_cpu()) return std::min(budget - 1, tasks);
    return budget == 1 ? 0 : std::min(budget, tasks * (loss_.aux_loss ? context_.model->size().decoder_layers : 1));
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
  double dense_weight_ = 0;
  model::DenseHead dense_head_{nullptr};  // where its loss counts
  std::vector<at::Tensor> cast_;          // parameters that are cast together for a step, see CastWeights
  HeadInput cellfinder_{cache::Backbone::CellFinder}, sam_{cache::Backbone::Sam};
};

}  // namespace

std::unique_ptr<Stage> open_detector_stage(const StageContext& context, Options& options) {
  return std::make_unique<DetectorStage>(context, options);
}

}  // namespace cellsam::train
