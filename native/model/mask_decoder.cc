#include "model/mask_decoder.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>

#include <optional>

#include "base/autocast.h"
#include "model/layer_norm_2d.h"
#include "ops/decoder_kernels.h"
#include "ops/upscaled_masks.h"

namespace cellsam::model {
namespace {

// Switches autocast off on the CPU with its kernels while it exists: the large products of the factored form take bfloat16 by
// themselves, without the copies of their operands that autocast makes, and the small ones are slower with casts than without.
class NoAutocastOnCpu {
 public:
  explicit NoAutocastOnCpu(const at::Tensor& input) {
    if (input.is_cpu() && ops::decoder_kernels().on()) guard_.emplace(c10::autocast_dispatch_keyset);
  }

 private:
  std::optional<c10::impl::ExcludeDispatchKeyGuard> guard_;
};

// The weight [in,out,2,2] of a transposed convolution of kernel and stride 2 as that of a linear layer [4*out,in]: one block of
// `out` rows for each of the 2 x 2 pixels that it makes of one.
at::Tensor as_linear(const at::Tensor& weight) { return weight.permute({2, 3, 1, 0}).flatten(0, 2); }

}  // namespace

MaskDecoderImpl::MaskDecoderImpl(const ModelSize& size) : num_multimask_(size.num_multimask) {
  const auto dim = size.prompt_dim, masks = num_multimask_ + 1;
  const auto upscale = [](std::int64_t in, std::int64_t out) {
    return torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(in, out, 2).stride(2));
  };
  transformer_ = register_module("transformer", TwoWayTransformer(size));
  iou_token_ = register_module("iou_token", torch::nn::Embedding(1, dim));
  mask_tokens_ = register_module("mask_tokens", torch::nn::Embedding(masks, dim));
  output_upscaling_ =
      register_module("output_upscaling", torch::nn::Sequential(upscale(dim, dim / 4), LayerNorm2d(dim / 4), torch::nn::GELU(),
                                                                upscale(dim / 4, dim / 8), torch::nn::GELU()));
  register_module("output_hypernetworks_mlps", output_hypernetworks_mlps_);
  for (std::int64_t i = 0; i < masks; ++i) output_hypernetworks_mlps_->push_back(Mlp(dim, dim, dim / 8, 3));
  iou_prediction_head_ = register_module("iou_prediction_head", Mlp(dim, size.iou_hidden, masks, size.iou_depth));
}

Masks MaskDecoderImpl::forward(const at::Tensor& image_embeddings, const at::Tensor& image_pe, const at::Tensor& sparse_prompts,
                               const at::Tensor& dense_prompts, bool multimask) {
  const std::int64_t first = multimask ? 1 : 0, count = multimask ? num_multimask_ : 1;
  return predict_masks(image_embeddings, image_pe, sparse_prompts, dense_prompts, first, count);
}

Masks MaskDecoderImpl::predict_masks(const at::Tensor& image_embeddings, const at::Tensor& image_pe,
                                     const at::Tensor& sparse_prompts, const at::Tensor& dense_prompts, std::int64_t first,
                                     std::int64_t count, Activations* activations) {
  const auto image = image_embeddings + dense_prompts;  // [N,C,g,g]
  const auto [tokens, image_tokens] = transformer_->forward(image, image_pe, with_output_tokens(sparse_prompts), activations);

  const auto map = image_tokens.transpose(1, 2).reshape(image.sizes());  // [N,C,g,g]
  const auto upscaled = output_upscaling_->forward(map);                 // [N,C/8,4g,4g]
  record(activations, "upscaled", upscaled);

  const auto filters = mask_filters(tokens, first, count);       // [N,count,C/8]
  const auto logits = at::matmul(filters, upscaled.flatten(2));  // [N,count,4g*4g]
  return {logits.reshape({sparse_prompts.size(0), count, upscaled.size(2), upscaled.size(3)}),
          predicted_iou(tokens, first, count)};
}

at::Tensor MaskDecoderImpl::with_output_tokens(const at::Tensor& sparse_prompts) const {
  const auto output_tokens = at::cat({iou_token_->weight, mask_tokens_->weight});
  return at::cat({output_tokens.unsqueeze(0).expand({sparse_prompts.size(0), -1, -1}), sparse_prompts}, 1);
}

at::Tensor MaskDecoderImpl::mask_filters(const at::Tensor& tokens, std::int64_t first, std::int64_t count) {
  std::vector<at::Tensor> filters;
  for (auto i = first; i < first + count; ++i) {
    const auto& mlp = output_hypernetworks_mlps_[static_cast<std::size_t>(i)];
    filters.push_back(mlp->as<Mlp>()->forward(tokens.select(1, 1 + i)));
  }
  return filters.size() == 1 ? filters[0].unsqueeze(1) : at::stack(filters, 1);
}

at::Tensor MaskDecoderImpl::predicted_iou(const at::Tensor& tokens, std::int64_t first, std::int64_t count) {
  return iou_prediction_head_->forward(tokens.select(1, 0)).slice(1, first, first + count);
}

FactoredImages MaskDecoderImpl::factor(const at::Tensor& image_embeddings, const at::Tensor& image_pe,
                                       const at::Tensor& no_mask) {
  const NoAutocastOnCpu no_autocast(image_embeddings);
  auto weights = transformer_->factored_weights();
  const auto& upscale = *output_upscaling_[0]->as<torch::nn::ConvTranspose2d>();
  weights.up = {as_linear(upscale.weight), upscale.bias.repeat({4})};

  const auto position = image_pe.flatten(2)[0];                                // [C,g*g]
  const auto images = image_embeddings.flatten(2) + no_mask.view({1, -1, 1});  // [B,C,g*g]
  return {weights, ops::position_maps(weights, position), ops::image_maps(weights, images, position), image_embeddings.size(2),
          image_embeddings.size(3)};
}

std::vector<at::Tensor*> FactoredImages::computed() {
  std::vector<at::Tensor*> tensors{&weights.up.weight, &weights.up.bias, &position.key2, &position.query2, &position.key3};
  for (auto& image : images) {
    const auto maps = image.all();
    tensors.insert(tensors.end(), maps.begin(), maps.end());
  }
  return tensors;
}

Masks MaskDecoderImpl::forward_factored(const FactoredImages& factored, const std::vector<std::int64_t>& images,
                                        const std::vector<std::int64_t>& counts, const at::Tensor& sparse_prompts,
                                        bool multimask) {
  const bool bf16 = bf16_autocast(sparse_prompts.device().type());
  const NoAutocastOnCpu no_autocast(sparse_prompts);
  const std::int64_t first = multimask ? 1 : 0, count = multimask ? num_multimask_ : 1;

  std::vector<ops::FactoredImageTokens> image_tokens;
  for (const auto image : images) {
    image_tokens.emplace_back(factored.weights, factored.images[static_cast<std::size_t>(image)], factored.position);
  }
  const auto tokens = transformer_->forward_factored(image_tokens, counts, with_output_tokens(sparse_prompts));

  // The rest of output_upscaling and the product with the filters, image by image.
  const auto filters = mask_filters(tokens, first, count).split_with_sizes(counts);
  const auto& norm = *output_upscaling_[1]->as<LayerNorm2d>();
  const auto& upscale = *output_upscaling_[3]->as<torch::nn::ConvTranspose2d>();
  const ops::UpscaleWeights weights{norm.weight, norm.bias, as_linear(upscale.weight), upscale.bias};
  std::vector<at::Tensor> logits;
  for (std::size_t i = 0; i < image_tokens.size(); ++i) {
    logits.push_back(ops::upscaled_masks(image_tokens[i].upscaled(), filters[i], weights, bf16));
  }

  // [N,count,4,4,g*g]: each convolution made 2 rows of 2 pixels of one. From (row, column) of the first, (row, column) of the
  // second and the image token's to one map.
  const auto n = sparse_prompts.size(0);
  const auto split = at::cat(logits).view({n, count, 2, 2, 2, 2, factored.height, factored.width});
  const auto map = split.permute({0, 1, 6, 2, 4, 7, 3, 5}).reshape({n, count, 4 * factored.height, 4 * factored.width});
  return {map, predicted_iou(tokens, first, count)};
}

}  // namespace cellsam::model
