// Stage 2: trains the neck of SAM's image encoder (and what is unfrozen by flag) behind box prompts.
// The gradient flows through the frozen prompt encoder and mask decoder; freezing is by requires_grad
// only: without a graph through them, as in the Python module, the neck would learn nothing.
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/stop_if_abandoned.h"
#include "cache/backbones.h"
#include "data/instances.h"
#include "device/side_stream.h"
#include "loss/mining.h"
#include "loss/upsampled_mask_loss.h"
#include "train/non_finite.h"
#include "train/prompt_chunks.h"
#include "train/prompt_decoder.h"
#include "train/prompt_graphs.h"
#include "train/prompt_sampling.h"
#include "train/stage.h"

namespace cellsam::train {
namespace {

// A batch on the device: prompts of the images that have any, and all label maps [B,T,T].
struct Prompted {
  std::vector<ImagePrompts> prompts;
  at::Tensor labels;
  std::vector<bool> ignores;  // B: the image has pixels to leave out
  std::int64_t count = 0;     // prompts of all images
};

class MaskStage final : public Stage {
 public:
  MaskStage(const StageContext& context, Options& options) : context_(context) {
    mask_loss_.focal_gamma = options.number("focal_gamma", mask_loss_.focal_gamma);
    mask_loss_.focal_alpha = options.number("focal_alpha", mask_loss_.focal_alpha);
    mask_loss_.dice_smooth = options.number("dice_smooth", mask_loss_.dice_smooth);
    mask_loss_.use_boundary = options.flag("use_boundary_loss", mask_loss_.use_boundary);
    mining_.enabled = options.flag("online_hard_negative_mining", mining_.enabled);
    mining_.weighted = options.flag("online_hard_negative_mining_weighted", mining_.weighted);
    mining_.fraction = options.number("ohem_fraction", mining_.fraction);
    mining_.hard_weight = options.number("ohem_hard_weight", mining_.hard_weight);
    mining_.hard_weight_min = options.number("ohem_hard_weight_min", mining_.hard_weight_min);
    mining_.hard_weight_max = options.number("ohem_hard_weight_max", mining_.hard_weight_max);
    iou_weight_ = read_weight(options, "iou_loss_weight", 0);
    set_loss_weights(options);
    fused_mask_loss_ = options.flag("fused_mask_loss", true);
    prompt_options_ = read_prompt_options(options);
    cache::set_checkpointing(context_.model, options.flag("activation_checkpointing", false));
    prompt_chunk_ = options.integer("prompt_chunk", 0);
    factored_ = options.flag("factored_decoder", true);
    const bool by_graphs = options.flag("cuda_graphs", false);

    const bool neck_only = options.flag("train_neck_only", true);
    const bool train_backbone = !options.flag("freeze_image_encoder", true) && !neck_only;
    const bool train_prompts = !options.flag("freeze_prompt_encoder", true) && !neck_only;
    const bool train_decoder = !options.flag("freeze_mask_decoder", true) && !neck_only;
    const double backbone_lr_ratio = options.number("backbone_lr_ratio", 1.0);

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
    behind_junction_ = prompts;
    behind_junction_.insert(behind_junction_.end(), decoder.begin(), decoder.end());
    choose(context_.model,
           {{"neck", neck}, {"trunk", backbone, backbone_lr_ratio}, {"prompt_encoder", prompts}, {"mask_decoder", decoder}},
           options.number("weight_decay", 1e-4));
    if (by_graphs) open_graphs();
  }

  int number() const override { return 2; }
  void set_loss_weights(Options& options) final {
    mask_loss_.focal_weight = read_weight(options, "focal_loss_weight", mask_loss_.focal_weight);
    mask_loss_.dice_weight = read_weight(options, "dice_loss_weight", mask_loss_.dice_weight);
    mask_loss_.boundary_weight = read_weight(options, "boundary_loss_weight", mask_loss_.boundary_weight);
    const auto iou = read_weight(options, "iou_loss_weight", iou_weight_);
    if (iou > 0 && iou_weight_ == 0) {
      throw Error("ERR_INVALID_ARGUMENT",
                  "iou_loss_weight cannot rise from 0 in an open stage, which does not train the IoU head");
    }
    iou_weight_ = iou;
    if (graphs_) graphs_->clear();  // they hold the weights as numbers
  }
  device::GraphCounts take_graph_counts() override { return graphs_ ? graphs_->take_counts() : device::GraphCounts{}; }
  const std::vector<std::string>& loss_names() const override {
    static const std::vector<std::string> names{"total_loss", "focal_loss", "dice_loss", "boundary_loss", "iou_loss"};
    return names;
  }

  std::optional<at::Tensor> train_batch(const data::Batch& batch, double scale, const DrawKey& key,
                                        const Control& control) override {
    const auto prompted = on_device(batch, draw_prompts(batch, prompt_options_, key));
    const auto count = prompted.count;
    if (count == 0) return std::nullopt;
    const auto embeddings = encode(batch, control);
    // A trace has to see every operation.
    if (graphs_ && !NonFiniteTrace::active()) return train_with_graphs(prompted, embeddings, scale, control);
    // Chunks add their gradients in the decoder, and the encoder is run backward once: memory is bounded by one chunk.
    auto decoder = decoder_of(embeddings);
    const auto weights =
        hard_example_weights(prompted, /*per_image=*/false, control,
                             [&](const std::vector<ImagePrompts>& chunk) { return prompt_losses(prompted, chunk, decoder); });

    at::Tensor sums;
    std::int64_t done = 0;
    const auto before = gradients_of(behind_junction_);
    const auto begin = [&] {
      sums = at::zeros(loss_count(), at::device(context_.device).dtype(at::kFloat));
      done = 0;
      decoder.drop_gradients();
      restore_gradients(behind_junction_, before);
    };
    for_each_chunk(prompted, /*per_image=*/false, control, begin, [&](const std::vector<ImagePrompts>& chunk) {
      const auto n = count_of(chunk);
      auto losses = prompt_losses(prompted, chunk, decoder);
      if (weights.defined()) losses = losses * weights.narrow(0, done, n).unsqueeze(1);
      done += n;
      (losses.select(1, 0).sum() * (scale / static_cast<double>(count))).backward();
      sums = sums + losses.detach().sum(0);
    });
    stop_if_abandoned(control);
    decoder.backward();
    return sums / static_cast<double>(count);
  }

  std::optional<at::Tensor> evaluate_batch(const data::Batch& batch, const Control& control) override {
    at::NoGradGuard no_grad;
    const auto prompted = on_device(batch, all_prompts(batch, prompt_options_));
    if (prompted.count == 0) return std::nullopt;
    auto decoder = decoder_of(encode(batch, control));
    auto sums = at::zeros(loss_count(), at::device(context_.device).dtype(at::kFloat));
    for_each_chunk(
        prompted, /*per_image=*/false, control, [&] { sums.zero_(); },
        [&](const std::vector<ImagePrompts>& chunk) { sums += prompt_losses(prompted, chunk, decoder).sum(0); });
    return sums / static_cast<double>(prompted.count);
  }

 private:
  // With a single mask per prompt only mask token 0's MLP is used; without IoU loss the IoU head is not. Where tokens look at
  // the image, the bias of its keys adds the same to all scores of a softmax, so that nothing depends on it.
  bool is_in_graph(const std::string& name) const {
    if (name.ends_with("_token_to_image.k_proj.bias")) return false;
    const auto mlps = name.find("output_hypernetworks_mlps.");
    if (mlps != std::string::npos && name[mlps + std::strlen("output_hypernetworks_mlps.")] != '0') return false;
    return iou_weight_ > 0 || name.find("iou_prediction_head.") == std::string::npos;
  }

  at::Tensor encode(const data::Batch& batch, const Control& control) {
    const auto features = frozen_backbone_ != nullptr
                              ? (*frozen_backbone_)(batch, control)
                              : cache::run_backbone(context_.model, context_.setting_of(cache::Backbone::Sam), batch.images);
    stop_if_abandoned(control);
    device::Autocast autocast(context_.device, context_.precision);
    return context_.model->mask_model()->image_encoder->neck(features).to(at::kFloat);
  }

  PromptDecoder decoder_of(at::Tensor embeddings, bool cuts_gradient = true) {
    device::Autocast autocast(context_.device, context_.precision);
    return {context_.model->mask_model(), std::move(embeddings), factored_, cuts_gradient};
  }

  void open_graphs() {
    const auto losses = [this](const PromptInputs& inputs) {
      const Prompted alone{{{0, inputs.boxes, inputs.ids}}, inputs.labels.unsqueeze(0), {inputs.ignores}};
      auto decoder = decoder_of(inputs.embedding, /*cuts_gradient=*/false);
      return prompt_losses(alone, alone.prompts, decoder);
    };
    std::vector<at::Tensor> trained;
    for (const auto& [name, parameter] : behind_junction_) trained.push_back(parameter);
    auto recorder = device::step_recorder(context_.device);
    if (!recorder) {
      notice(context_.device.is_cpu() ? "cuda_graphs is for a GPU: on the CPU it only makes stage 2 slower"
                                      : "cuda_graphs needs the library libcellsam_cuda, which is not there: stage 2 starts its "
                                        "operations one by one. `cellsam doctor` says why");
    }
    side_stream_.emplace(context_.device);
    graphs_.emplace(losses, std::move(trained), std::move(recorder));
  }

  // `train_batch` with the prompts of one image at a time, from the image embedding on. All it asks of the device is copies
  // in, one graph, and sums.
  at::Tensor train_with_graphs(const Prompted& prompted, const at::Tensor& embeddings, double scale, const Control& control) {
    auto& sam = *context_.model->mask_model();
    auto weights_used = model::state_dict(*sam.prompt_encoder);
    for (const auto& entry : model::state_dict(*sam.mask_decoder)) weights_used.push_back(entry);
    graphs_->clear_if_changed(weights_used);

    at::Tensor sums, gradient;
    {
      const device::SideStream::Scope side(*side_stream_);
      const auto inputs_of = [&](const ImagePrompts& image, const at::Tensor& weights) {
        return PromptInputs{embeddings.detach().narrow(0, image.image, 1),
                            prompted.labels[image.image],
                            image.boxes,
                            image.ids,
                            weights,
                            prompted.ignores[static_cast<std::size_t>(image.image)]};
      };
      const auto padded_count_of = [&](std::int64_t n) { return padded_prompt_count(n, chunks_->size()); };
      const auto share = scale / static_cast<double>(prompted.count);
      const auto even = at::full({prompted.count}, share, at::device(context_.device).dtype(at::kFloat));
      auto weights = hard_example_weights(prompted, /*per_image=*/true, control, [&](const std::vector<ImagePrompts>& chunk) {
        const auto n = count_of(chunk);
        return graphs_->forward(inputs_of(chunk[0], even.narrow(0, 0, n)), padded_count_of(n));
      });
      weights = weights.defined() ? weights * share : even;

      std::int64_t done = 0;
      const auto before = gradients_of(behind_junction_);
      const auto begin = [&] {
        sums = at::zeros(loss_count(), at::device(context_.device).dtype(at::kFloat));
        gradient = at::zeros_like(embeddings.detach());
        done = 0;
        restore_gradients(behind_junction_, before);
      };
      for_each_chunk(prompted, /*per_image=*/true, control, begin, [&](const std::vector<ImagePrompts>& chunk) {
        const auto n = count_of(chunk);
        const auto& result = graphs_->forward_backward(inputs_of(chunk[0], weights.narrow(0, done, n)), padded_count_of(n));
        done += n;
        sums += result.losses;
        gradient.narrow(0, chunk[0].image, 1) += result.embedding;
        add_gradients(behind_junction_, result.parameters);
      });
    }
    if (auto failure = graphs_->take_failure(); !failure.empty()) {
      notice("cuda_graphs: stage 2 starts its operations one by one from now on, since they could not be recorded: " + failure);
    }
    stop_if_abandoned(control);
    torch::autograd::backward({embeddings}, {gradient});
    return sums / scale;
  }

  // Weighted losses [n,k] of a chunk's prompts, in the order of loss_names().
  at::Tensor prompt_losses(const Prompted& prompted, const std::vector<ImagePrompts>& chunk, PromptDecoder& decoder) {
    const auto tile = static_cast<double>(prompted.labels.size(1));
    model::Masks masks;
    {
      device::Autocast autocast(context_.device, context_.precision);
      masks = decoder.decode(chunk, static_cast<double>(context_.model->size().image_size) / tile);
    }
    std::vector<at::Tensor> losses;
    std::int64_t done = 0;
    for (const auto& image : chunk) {
      const auto n = image.boxes.size(0);
      losses.push_back(image_losses(prompted, image, masks.logits.narrow(0, done, n), masks.iou.narrow(0, done, n).squeeze(1)));
      done += n;
    }
    return losses.size() == 1 ? losses[0] : at::cat(losses);
  }

  // The same for one image's prompts, against its label map.
  at::Tensor image_losses(const Prompted& prompted, const ImagePrompts& chunk, const at::Tensor& logits,
                          const at::Tensor& predicted_iou) {
    const auto& labels = prompted.labels;
    const auto size = context_.model->size().image_size;
    loss::UpsampledMasks masks{logits.squeeze(1), labels[chunk.image], chunk.ids, size};
    if (prompted.ignores[static_cast<std::size_t>(chunk.image)]) masks.ignored = data::kIgnore;
    if (iou_weight_ > 0) masks.iou_threshold = std::log(0.4 / 0.6);  // where inference cuts, at a sigmoid of 0.4
    const auto [loss, iou] = loss::upsampled_mask_loss(masks, mask_loss_, fused_mask_loss_);
    const auto iou_loss = iou.defined() ? (predicted_iou - iou).square() * iou_weight_ : at::zeros_like(loss.total);
    return at::stack({loss.total + iou_loss, loss.focal, loss.dice, loss.boundary, iou_loss}, 1);
  }

  // Mining ranks the prompts of the whole batch, so their `losses` are needed before the first backward. Nothing without it.
  at::Tensor hard_example_weights(const Prompted& prompted, bool per_image, const Control& control,
                                  const std::function<at::Tensor(const std::vector<ImagePrompts>&)>& losses) {
    if (!mining_.enabled) return {};
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> totals;
    for_each_chunk(
        prompted, per_image, control, [&] { totals.clear(); },
        [&](const std::vector<ImagePrompts>& chunk) { totals.push_back(losses(chunk).select(1, 0)); });
    return loss::mining_weights(at::cat(totals), mining_);
  }

  Prompted on_device(const data::Batch& batch, std::vector<ImagePrompts> prompts) const {
    Prompted prompted{std::move(prompts), upload(batch.labels, context_.device), {}};
    for (const auto& instances : batch.instances) prompted.ignores.push_back(instances.has_ignored);
    for (auto& image : prompted.prompts) {
      prompted.count += image.boxes.size(0);
      image.boxes = upload(image.boxes, context_.device);
      image.ids = upload(image.ids, context_.device);
    }
    return prompted;
  }

  template <class Begin, class Body>
  void for_each_chunk(const Prompted& prompted, bool per_image, const Control& control, Begin begin, Body body) {
    const auto bytes = PromptDecoder::bytes_per_prompt(context_.model->size(), prompted.labels.size(1));
    if (!chunks_) chunks_.emplace(prompt_chunk_, context_.device, bytes);
    chunks_->for_each(prompted.prompts, per_image, control, begin, body,
                      [&](std::string message) { notice(std::move(message)); });
  }

  static std::vector<at::Tensor> gradients_of(const model::NamedTensors& parameters) {
    std::vector<at::Tensor> gradients;
    for (const auto& [name, parameter] : parameters) {
      gradients.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::Tensor());
    }
    return gradients;
  }

  static void restore_gradients(const model::NamedTensors& parameters, const std::vector<at::Tensor>& gradients) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      auto parameter = parameters[i].second;
      parameter.mutable_grad() = gradients[i].defined() ? gradients[i].clone() : at::Tensor();
    }
  }

  static void add_gradients(const model::NamedTensors& parameters, const std::vector<at::Tensor>& gradients) {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> sums, added;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!gradients[i].defined()) continue;
      auto parameter = parameters[i].second;
      if (!parameter.grad().defined()) parameter.mutable_grad() = at::zeros_like(parameter);
      sums.push_back(parameter.mutable_grad());
      added.push_back(gradients[i]);
    }
    if (!sums.empty()) at::_foreach_add_(sums, added);
  }

  std::int64_t loss_count() const { return std::ssize(loss_names()); }

  StageContext context_;
  loss::MaskLossOptions mask_loss_;
  loss::MiningOptions mining_;
  PromptOptions prompt_options_;
  double iou_weight_ = 0;
  bool fused_mask_loss_ = true;                       // off: with tensors of the tile's size, for comparison
  cache::FrozenBackbone* frozen_backbone_ = nullptr;  // null: the backbone trains
  std::int64_t prompt_chunk_ = 0;
  bool factored_ = true;
  std::optional<PromptChunks> chunks_;  // since the size of the tiles is known
  std::optional<PromptGraphs> graphs_;  // with cuda_graphs
  std::optional<device::SideStream> side_stream_;
  model::NamedTensors behind_junction_;  // trained parameters whose gradient grows chunk by chunk
};

}  // namespace

std::unique_ptr<Stage> open_mask_stage(const StageContext& context, Options& options) {
  return std::make_unique<MaskStage>(context, options);
}

}  // namespace cellsam::train
