#include "train/mask_stage.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "base/stop_if_abandoned.h"
#include "cache/backbones.h"
#include "settings/stage2.h"
#include "settings/training.h"
#include "train/gradients.h"
#include "train/lora.h"
#include "train/non_finite.h"

namespace cellsam::train {

MaskStage::MaskStage(const StageContext& context, Options& options)
    : context_(context),
      losses_(context, options),
      mining_(loss::read_mining_options(options)),
      prompt_options_(read_prompt_options(options)),
      prompt_chunk_(options.read(setting::stage2::prompt_chunk)) {
  mining_.enabled = options.read(setting::stage2::online_hard_negative_mining);
  cache::set_checkpointing(context_.model, options.read(setting::training::activation_checkpointing));
  choose_parameters(options);
  if (const auto graphs = options.read(setting::stage2::cuda_graphs); graphs != "off") open_graphs(graphs == "on");
}

void MaskStage::choose_parameters(Options& options) {
  const bool neck_only = options.read(setting::stage2::train_neck_only);
  const bool train_backbone = !options.read(setting::stage2::freeze_image_encoder) && !neck_only;
  const bool train_prompts = !options.read(setting::stage2::freeze_prompt_encoder) && !neck_only;
  const bool train_decoder = !options.read(setting::stage2::freeze_mask_decoder) && !neck_only;
  const double backbone_lr_ratio = options.read(setting::training::backbone_lr_ratio);
  const double weight_decay = options.read(setting::training::weight_decay);

  const std::string prefix = cache::mask_model_prefix(context_.model);
  model::NamedTensors neck, backbone, prompts, decoder;
  for (const auto& entry : context_.model->unique_parameters()) {
    const auto& name = entry.first;
    if (name.starts_with(prefix + "image_encoder.neck.")) {
      neck.push_back(entry);
    } else if (name.starts_with(prefix + "image_encoder.")) {
      if (train_backbone) backbone.push_back(entry);
    } else if (name.starts_with(prefix + "prompt_encoder.")) {
      // Boxes reach only the corner embeddings and the no-mask embedding; the others would only decay.
      const bool used = name.ends_with("point_embeddings.2.weight") || name.ends_with("point_embeddings.3.weight") ||
                        name.ends_with("no_mask_embed.weight");
      if (train_prompts && used) prompts.push_back(entry);
    } else if (name.starts_with(prefix + "mask_decoder.")) {
      if (train_decoder && is_in_graph(name)) decoder.push_back(entry);
    }
  }
  const auto features = cache::read_feature_options(options);
  if (!train_backbone)
    frozen_backbone_ = add_frozen_backbone(context_.model, context_.setting_of(cache::Backbone::Sam), features);
  decoder_parameters_ = prompts;
  decoder_parameters_.insert(decoder_parameters_.end(), decoder.begin(), decoder.end());
  const auto lora = read_lora_options(options);
  choose(context_.model,
         {{"neck", neck},
          {"backbone", learning_weights(backbone, lora), backbone_lr_ratio, lora.low_rank},
          {"prompt_encoder", prompts},
          {"mask_decoder", decoder}},
         weight_decay);
}

// With a single mask per prompt only mask token 0's MLP is used; without IoU loss the IoU head is not. Where tokens look at the
// image, the bias of its keys adds the same to all scores of a softmax, so that nothing depends on it.
bool MaskStage::is_in_graph(const std::string& name) const {
  if (name.ends_with("_token_to_image.k_proj.bias")) return false;
  const auto mlps = name.find("output_hypernetworks_mlps.");
  if (mlps != std::string::npos && name[mlps + std::strlen("output_hypernetworks_mlps.")] != '0') return false;
  return losses_.trains_iou_head() || name.find("iou_prediction_head.") == std::string::npos;
}

void MaskStage::set_loss_weights(Options& options) {
  losses_.set_weights(options);
  if (graphs_) graphs_->clear();  // they hold the weights as numbers
}

device::GraphCounts MaskStage::take_graph_counts() { return graphs_ ? graphs_->take_counts() : device::GraphCounts{}; }

std::int64_t MaskStage::averaged_over(const data::Batch& batch, bool training) const {
  const auto prompts = all_prompts(batch, prompt_options_);
  if (!training || prompt_options_.max_prompts == 0) return count_of(prompts);
  std::int64_t drawn = 0;
  for (const auto& image : prompts) drawn += std::min(image.boxes.size(0), prompt_options_.max_prompts);
  return drawn;
}

std::optional<at::Tensor> MaskStage::train_batch(const data::Batch& batch, double scale, const DrawKey& key,
                                                 const Control& control) {
  const auto prompted = on_device(batch, draw_prompts(batch, prompt_options_, key), context_.device);
  const auto count = prompted.count;
  if (count == 0) return std::nullopt;
  const auto embeddings = encode(batch, control);
  // A trace has to see every operation.
  if (graphs_ && !NonFiniteTrace::active()) return train_with_graphs(prompted, embeddings, scale, control);
  // Chunks add their gradients in the decoder, and the encoder is run backward once: memory is bounded by one chunk.
  auto decoder = losses_.decoder(embeddings);
  const auto weights = hard_example_weights(prompted, /*per_image=*/false, control,
                                            [&](const Chunk& chunk) { return losses_(prompted, chunk, decoder); });

  at::Tensor sums;
  std::int64_t done = 0;
  const auto before = copy_gradients(decoder_parameters_);
  const auto begin = [&] {
    sums = no_losses();
    done = 0;
    decoder.drop_gradients();
    restore_gradients(decoder_parameters_, before);
  };
  for_each_chunk(prompted, /*per_image=*/false, control, begin, [&](const Chunk& chunk) {
    const auto n = count_of(chunk);
    auto losses = losses_(prompted, chunk, decoder);
    if (weights.defined()) losses = losses * weights.narrow(0, done, n).unsqueeze(1);
    done += n;
    (losses.select(1, 0).sum() * (scale / static_cast<double>(count))).backward();
    sums = sums + losses.detach().sum(0);
  });
  stop_if_abandoned(control);
  decoder.backward();
  return sums / static_cast<double>(count);
}

std::optional<at::Tensor> MaskStage::evaluate_batch(const data::Batch& batch, const Control& control) {
  at::NoGradGuard no_grad;
  const auto prompted = on_device(batch, all_prompts(batch, prompt_options_), context_.device);
  if (prompted.count == 0) return std::nullopt;
  auto decoder = losses_.decoder(encode(batch, control));
  auto sums = no_losses();
  for_each_chunk(
      prompted, /*per_image=*/false, control, [&] { sums.zero_(); },
      [&](const Chunk& chunk) { sums += losses_(prompted, chunk, decoder).sum(0); });
  return sums / static_cast<double>(prompted.count);
}

at::Tensor MaskStage::encode(const data::Batch& batch, const Control& control) {
  const auto features = frozen_backbone_ != nullptr
                            ? (*frozen_backbone_)(batch, control)
                            : cache::run_backbone(context_.model, context_.setting_of(cache::Backbone::Sam), batch.images);
  stop_if_abandoned(control);
  device::Autocast autocast(context_.device, context_.precision);
  return context_.model->mask_model()->image_encoder->neck(features).to(at::kFloat);
}

// Mining ranks the prompts of the whole batch, so their `losses` are needed before the first backward. Nothing without it.
at::Tensor MaskStage::hard_example_weights(const PromptBatch& batch, bool per_image, const Control& control,
                                           const std::function<at::Tensor(const Chunk&)>& losses) {
  if (!mining_.enabled) return {};
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> totals;
  for_each_chunk(
      batch, per_image, control, [&] { totals.clear(); },
      [&](const Chunk& chunk) { totals.push_back(losses(chunk).select(1, 0)); });
  return loss::mining_weights(at::cat(totals), mining_);
}

void MaskStage::for_each_chunk(const PromptBatch& batch, bool per_image, const Control& control,
                               const std::function<void()>& begin, const std::function<void(const Chunk&)>& body) {
  const auto bytes = PromptDecoder::bytes_per_prompt(context_.model->size(), batch.labels.size(1));
  if (!chunks_) chunks_.emplace(prompt_chunk_, context_.device, bytes);
  chunks_->for_each(batch.prompts, per_image, control, begin, body, [&](std::string told) { notice(std::move(told)); });
}

at::Tensor MaskStage::no_losses() const {
  return at::zeros(std::ssize(loss_names()), at::device(context_.device).dtype(at::kFloat));
}

std::unique_ptr<Stage> open_mask_stage(const StageContext& context, Options& options) {
  return std::make_unique<MaskStage>(context, options);
}

}  // namespace cellsam::train
