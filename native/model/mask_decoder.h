// The mask decoder of Segment Anything (Kirillov et al., ICCV 2023): predicts masks and their quality from an image embedding
// and encoded prompts.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/pimpl.h>

#include "model/activations.h"
#include "model/mlp.h"
#include "model/model_size.h"
#include "model/two_way_transformer.h"

namespace cellsam::model {

// M is 1, or ModelSize::num_multimask with multimask.
struct Masks {
  at::Tensor logits;  // [N,M,4g,4g]
  at::Tensor iou;     // [N,M]: the IoU that the decoder expects of each mask, not squashed to 0..1
};

// What the factored form of the decoder (docs/math.md) computes of images and weights before it knows any prompts. Any number
// of chunks of prompts can use it.
struct FactoredImages {
  ops::ImageTokenWeights weights;
  ops::PositionMaps position;
  std::vector<ops::ImageMaps> images;  // [B]
  std::int64_t height, width;          // image tokens along each axis

  // Everything in here that depends on parameters or image embeddings: where gradients of prompts come together.
  std::vector<at::Tensor*> computed();
};

class MaskDecoderImpl : public torch::nn::Module {
 public:
  explicit MaskDecoderImpl(const ModelSize& size);

  // image_embeddings [1,C,g,g] (one image for all prompts) or [N,C,g,g] (an image for each), image_pe [1,C,g,g],
  // sparse_prompts [N,k,C], dense_prompts [N,C,g,g] -> N masks. multimask: the alternatives for an ambiguous prompt instead of
  // the single mask.
  Masks forward(const at::Tensor& image_embeddings, const at::Tensor& image_pe, const at::Tensor& sparse_prompts,
                const at::Tensor& dense_prompts, bool multimask);

  // The masks `first` to `first + count - 1` of num_multimask + 1: 0 is the single mask, the others are the alternatives.
  Masks predict_masks(const at::Tensor& image_embeddings, const at::Tensor& image_pe, const at::Tensor& sparse_prompts,
                      const at::Tensor& dense_prompts, std::int64_t first, std::int64_t count,
                      Activations* activations = nullptr);

  // The same function in far fewer operations, in two steps, for prompts without a mask of their own. Needs can_factor().
  // factor(): image_embeddings [B,C,g,g], image_pe [1,C,g,g], no_mask [C] (PromptEncoder::no_mask_embedding).
  // forward_factored(): sparse_prompts [N,k,C], of which counts[i] belong to image images[i] of `factored`, in that order.
  bool can_factor() const { return transformer_->can_factor(); }
  FactoredImages factor(const at::Tensor& image_embeddings, const at::Tensor& image_pe, const at::Tensor& no_mask);
  Masks forward_factored(const FactoredImages& factored, const std::vector<std::int64_t>& images,
                         const std::vector<std::int64_t>& counts, const at::Tensor& sparse_prompts, bool multimask);

 private:
  at::Tensor with_output_tokens(const at::Tensor& sparse_prompts) const;                       // [N,k,C] -> [N,1+masks+k,C]
  at::Tensor mask_filters(const at::Tensor& tokens, std::int64_t first, std::int64_t count);   // [N,count,C/8]
  at::Tensor predicted_iou(const at::Tensor& tokens, std::int64_t first, std::int64_t count);  // [N,count]

  std::int64_t num_multimask_;
  TwoWayTransformer transformer_{nullptr};
  torch::nn::Embedding iou_token_{nullptr};
  torch::nn::Embedding mask_tokens_{nullptr};
  torch::nn::Sequential output_upscaling_{nullptr};
  torch::nn::ModuleList output_hypernetworks_mlps_;
  Mlp iou_prediction_head_{nullptr};
};
TORCH_MODULE(MaskDecoder);

}  // namespace cellsam::model
