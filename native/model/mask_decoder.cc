#include "model/mask_decoder.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>

#include <optional>

#include "base/autocast.h"
#include "model/layer_norm_2d.h"
#include "ops/upscaled_masks.h"

namespace cellsam::model {
namespace {

// Keeps autocast out on the CPU: the large products take bfloat16 by themselves, without the copies of their operands that
// autocast makes, and casting makes the small ones slower.
class PlainOnCpu {
 public:
  explicit PlainOnCpu(const at::Tensor& input) {
    if (input.is_cpu()) guard_.emplace(c10::autocast_dispatch_keyset);
  }

 private:
  std::optional<c10::impl::ExcludeDispatchKeyGuard> guard_;
};

}  // namespace

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

at::Tensor MaskDecoderImpl::all_tokens(const at::Tensor& sparse) const {
  const auto output_tokens = at::cat({iou_token_->weight, mask_tokens_->weight});
  return at::cat({output_tokens.unsqueeze(0).expand({sparse.size(0), -1, -1}), sparse}, 1);
}

at::Tensor MaskDecoderImpl::filters(const at::Tensor& tokens, std::int64_t first, std::int64_t count) {
  std::vector<at::Tensor> filters;
  for (auto i = first; i < first + count; ++i) {
    filters.push_back(output_hypernetworks_mlps_[static_cast<std::size_t>(i)]->as<Mlp>()->forward(tokens.select(1, 1 + i)));
  }
  return at::stack(filters, 1);
}

Masks MaskDecoderImpl::with_quality(at::Tensor logits, const at::Tensor& tokens, std::int64_t first, std::int64_t count) {
  return {std::move(logits), iou_prediction_head_->forward(tokens.select(1, 0)).slice(1, first, first + count)};
}

Masks MaskDecoderImpl::predict(const at::Tensor& image_embeddings, const at::Tensor& image_position, const at::Tensor& sparse,
                               const at::Tensor& dense, std::int64_t first, std::int64_t count, Taps* taps) {
  const auto image = image_embeddings + dense;
  const auto mixed = transformer_->forward(image, image_position, all_tokens(sparse), taps);
  const auto upscaled = output_upscaling_->forward(mixed.cells.transpose(1, 2).reshape(image.sizes()));
  tap(taps, "upscaled", upscaled);
  const auto logits = at::matmul(filters(mixed.tokens, first, count), upscaled.flatten(2));
  return with_quality(logits.reshape({sparse.size(0), count, upscaled.size(2), upscaled.size(3)}), mixed.tokens, first, count);
}

ops::CellWeights MaskDecoderImpl::cell_weights() {
  auto weights = transformer_->cell_weights();
  const auto& up = *output_upscaling_[0]->as<torch::nn::ConvTranspose2d>();
  weights.up = {up.weight.permute({2, 3, 1, 0}).flatten(0, 2), up.bias.repeat({4})};
  return weights;
}

FactoredImages MaskDecoderImpl::factor(const at::Tensor& image_embeddings, const at::Tensor& image_position,
                                       const at::Tensor& dense) {
  const PlainOnCpu plain(image_embeddings);
  const auto weights = cell_weights();
  const auto position = image_position.flatten(2)[0];
  const auto images = image_embeddings.flatten(2) + dense.view({1, -1, 1});
  return {weights, ops::position_maps(weights, position), ops::image_maps(weights, images, position), image_embeddings.size(2),
          image_embeddings.size(3)};
}

std::vector<at::Tensor*> FactoredImages::derived() {
  std::vector<at::Tensor*> tensors{&weights.up.weight, &weights.up.bias, &position.key2, &position.query2, &position.key3};
  for (auto& image : images) {
    const auto maps = image.all();
    tensors.insert(tensors.end(), maps.begin(), maps.end());
  }
  return tensors;
}

Masks MaskDecoderImpl::forward(const FactoredImages& images, const std::vector<std::int64_t>& rows,
                               const std::vector<std::int64_t>& counts, const at::Tensor& sparse, bool multimask) {
  const bool half = bf16_autocast(sparse.device().type());
  const PlainOnCpu plain(sparse);
  const std::int64_t first = multimask ? 1 : 0, count = multimask ? num_multimask_ : 1;
  std::vector<ops::PromptedImage> prompted;
  for (const auto row : rows) {
    prompted.emplace_back(images.weights, images.images[static_cast<std::size_t>(row)], images.position);
  }
  const auto tokens = transformer_->forward(prompted, counts, all_tokens(sparse));
  const auto masks = filters(tokens, first, count).split_with_sizes(counts);
  const auto& norm = *output_upscaling_[1]->as<LayerNorm2d>();
  const auto& twice = *output_upscaling_[3]->as<torch::nn::ConvTranspose2d>();
  const ops::UpscaleWeights end{norm.weight, norm.bias, twice.weight.permute({2, 3, 1, 0}).flatten(0, 2), twice.bias};
  std::vector<at::Tensor> logits;
  for (std::size_t i = 0; i < prompted.size(); ++i) {
    logits.push_back(ops::upscaled_masks(prompted[i].upscaled(), masks[i], end, half));
  }
  // [N,M,4,4,rows*columns]: each step of upscaling split a cell in rows and columns of two
  const auto split = at::cat(logits).view({sparse.size(0), count, 2, 2, 2, 2, images.rows, images.columns});
  const auto pixels =
      split.permute({0, 1, 6, 2, 4, 7, 3, 5}).reshape({sparse.size(0), count, 4 * images.rows, 4 * images.columns});
  return with_quality(pixels, tokens, first, count);
}

}  // namespace cellsam::model
