#include "train/prompt_decoder.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>

#include "train/non_finite.h"

namespace cellsam::train {

PromptDecoder::PromptDecoder(model::Sam sam, at::Tensor embeddings, bool shares, bool gathers)
    : sam_(std::move(sam)), position_(sam_->prompt_encoder->dense_position()) {
  std::vector<at::Tensor*> cut;
  if (shares && sam_->mask_decoder->shares() && !NonFiniteTrace::active()) {
    shared_ = sam_->mask_decoder->share(embeddings, position_, sam_->prompt_encoder->no_mask());
    cut = shared_->derived();
  } else {
    embeddings_ = std::move(embeddings);
    cut = {&embeddings_};
  }
  if (!gathers || !at::GradMode::is_enabled()) return;
  for (auto* tensor : cut) {
    if (!tensor->requires_grad()) continue;
    sources_.push_back(*tensor);
    *tensor = tensor->detach().requires_grad_(true);
    junctions_.push_back(*tensor);
  }
}

model::Masks PromptDecoder::decode(const std::vector<ImagePrompts>& chunk, double scale) {
  std::vector<at::Tensor> boxes;
  std::vector<std::int64_t> rows, counts;
  for (const auto& image : chunk) {
    boxes.push_back(image.boxes);
    rows.push_back(image.image);
    counts.push_back(image.boxes.size(0));
  }
  const auto prompts = sam_->prompt_encoder->forward(std::nullopt, std::nullopt, at::cat(boxes) * scale, std::nullopt);
  model::Masks masks;
  if (shared_) {
    masks = sam_->mask_decoder->forward(*shared_, rows, counts, prompts.sparse, /*multimask=*/false);
  } else {
    std::vector<at::Tensor> images;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto image = embeddings_.narrow(0, rows[i], 1);
      images.push_back(rows.size() == 1 ? image : image.expand({counts[i], -1, -1, -1}));
    }
    const auto image = images.size() == 1 ? images[0] : at::cat(images);
    masks = sam_->mask_decoder->forward(image, position_, prompts.sparse, prompts.dense, /*multimask=*/false);
  }
  return {masks.logits.to(at::kFloat), masks.iou.to(at::kFloat)};
}

void PromptDecoder::forget() {
  for (auto& junction : junctions_) junction.mutable_grad().reset();
}

void PromptDecoder::backward() {
  std::vector<at::Tensor> reached, gradients;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (!junctions_[i].grad().defined()) continue;
    reached.push_back(sources_[i]);
    gradients.push_back(junctions_[i].grad());
  }
  if (!reached.empty()) torch::autograd::backward(reached, gradients);
}

std::int64_t PromptDecoder::bytes_per_prompt(const model::ModelSize& size, std::int64_t tile) {
  constexpr std::int64_t kTokens = 7, kAttentions = 20;  // scores, weights and gradients of five attentions
  const auto cells = size.grid() * size.grid();
  const auto floats = cells * (kAttentions * size.decoder_heads * kTokens + 6 * size.prompt_dim) + 16 * tile * tile;
  return 4 * floats;
}

}  // namespace cellsam::train
