#include "train/prompt_decoder.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>

#include "train/non_finite.h"

namespace cellsam::train {

PromptDecoder::PromptDecoder(model::Sam sam, at::Tensor embeddings, bool factored, bool cuts_gradient)
    : sam_(std::move(sam)), position_(sam_->prompt_encoder->dense_pe()) {
  std::vector<at::Tensor*> tensors;
  if (factored && sam_->mask_decoder->can_factor() && !NonFiniteTrace::active()) {
    factored_ = sam_->mask_decoder->factor(embeddings, position_, sam_->prompt_encoder->no_mask_embedding());
    tensors = factored_->computed();
  } else {
    embeddings_ = std::move(embeddings);
    tensors = {&embeddings_};
  }
  if (!cuts_gradient || !at::GradMode::is_enabled()) return;
  for (auto* tensor : tensors) {
    if (!tensor->requires_grad()) continue;
    before_cut_.push_back(*tensor);
    *tensor = tensor->detach().requires_grad_(true);
    cuts_.push_back(*tensor);
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
  if (factored_) {
    masks = sam_->mask_decoder->forward_factored(*factored_, rows, counts, prompts.sparse, /*multimask=*/false);
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

void PromptDecoder::drop_gradients() {
  for (auto& cut : cuts_) cut.mutable_grad().reset();
}

void PromptDecoder::backward() {
  std::vector<at::Tensor> reached, gradients;
  for (std::size_t i = 0; i < before_cut_.size(); ++i) {
    if (!cuts_[i].grad().defined()) continue;
    reached.push_back(before_cut_[i]);
    gradients.push_back(cuts_[i].grad());
  }
  if (!reached.empty()) torch::autograd::backward(reached, gradients);
}

std::int64_t PromptDecoder::bytes_per_prompt(const model::ModelSize& size, std::int64_t tile) {
  constexpr std::int64_t kTokens = 7, kMaps = 20;  // scores, weights and gradients of five attentions
  const auto image_tokens = size.grid() * size.grid();
  const auto floats = image_tokens * (kMaps * size.decoder_heads * kTokens + 6 * size.prompt_dim) + 16 * tile * tile;
  return 4 * floats;
}

}  // namespace cellsam::train
