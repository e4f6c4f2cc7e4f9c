#include "model/mask_decoder.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>

#include "model/layer_norm_2d.h"

namespace cellsam::model {

MaskDecoderImpl::MaskDecoderImpl(const ModelSize& size) : num_multimask_(size.num_multimask) {
  const auto dim = size.prompt_dim, masks = num_multimask_ + 1;
  const auto twice = [](std::int64_t in, std::int64_t out) {
    return torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(in, out, 2).stride(2));
  };
  transformer_ = register_module("transformer", TwoWayTransformer(size));
  iou_token_ = register_module("iou_token", torch::nn::Embedding(1, dim));
  mask_tokens_ = register_module("mask_tokens", torch::nn::Embedding(masks, dim));
  output_upscaling_ =
      register_module("output_upscaling", torch::nn::Sequential(twice(dim, dim / 4), LayerNorm2d(dim / 4), torch::nn::GELU(),
                                                                twice(dim / 4, dim / 8), torch::nn::GELU()));
  register_module("output_hypernetworks_mlps", output_hypernetworks_mlps_);
  for (std::int64_t i = 0; i < masks; ++i) output_hypernetworks_mlps_->push_back(Mlp(dim, dim, dim / 8, 3));
  iou_prediction_head_ = register_module("iou_prediction_head", Mlp(dim, size.iou_hidden, masks, size.iou_depth));
}

Masks MaskDecoderImpl::forward(const at::Tensor& image_embeddings, const at::Tensor& image_position, const at::Tensor& sparse,
                               const at::Tensor& dense, bool multimask) {
  return predict(image_embeddings, image_position, sparse, dense, multimask ? 1 : 0, multimask ? num_multimask_ : 1);
}

Masks MaskDecoderImpl::predict(const at::Tensor& image_embeddings, const at::Tensor& image_position, const at::Tensor& sparse,
                               const at::Tensor& dense, std::int64_t first, std::int64_t count, Taps* taps) {
  const auto prompts = sparse.size(0);
  const auto output_tokens = at::cat({iou_token_->weight, mask_tokens_->weight});
  const auto tokens = at::cat({output_tokens.unsqueeze(0).expand({prompts, -1, -1}), sparse}, 1);
  const auto image = image_embeddings + dense;
  const auto mixed = transformer_->forward(image, image_position, tokens, taps);

  const auto upscaled = output_upscaling_->forward(mixed.cells.transpose(1, 2).reshape(image.sizes()));
  tap(taps, "upscaled", upscaled);
  std::vector<at::Tensor> filters;  // one [N,C/8] for each wanted mask
  for (auto i = first; i < first + count; ++i) {
    filters.push_back(
        output_hypernetworks_mlps_[static_cast<std::size_t>(i)]->as<Mlp>()->forward(mixed.tokens.select(1, 1 + i)));
  }
  Masks masks;
  masks.logits =
      at::matmul(at::stack(filters, 1), upscaled.flatten(2)).reshape({prompts, count, upscaled.size(2), upscaled.size(3)});
  masks.iou = iou_prediction_head_->forward(mixed.tokens.select(1, 0)).slice(1, first, first + count);
  return masks;
}

}  // namespace cellsam::model
