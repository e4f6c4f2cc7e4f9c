// The image encoder of Segment Anything (Kirillov et al., ICCV 2023): a plain vision transformer with windowed attention
// (ViTDet, Li et al., ECCV 2022), the backbone, and a convolutional neck that maps its features to the embedding which the mask
// decoder reads. CellFinder's backbone is the same network without the neck.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include "model/activations.h"
#include "model/model_size.h"

namespace cellsam::model {

// Cuts the image into patches and embeds each: S = image_size, g = S / patch, E = embed_dim.
class PatchEmbedImpl : public torch::nn::Module {
 public:
  explicit PatchEmbedImpl(const ModelSize& size);
  at::Tensor forward(const at::Tensor& x);  // [B,3,S,S] -> [B,g,g,E]

 private:
  torch::nn::Conv2d proj_{nullptr};
};
TORCH_MODULE(PatchEmbed);

class ImageEncoderImpl : public torch::nn::Module {
 public:
  ImageEncoderImpl(const ModelSize& size, bool with_neck);

  // backbone, then the neck if there is one: [B,3,S,S] -> [B,C,g,g], or [B,g,g,E] without a neck.
  at::Tensor forward(const at::Tensor& x);

  // Images [B,3,S,S] -> features of the last block [B,g,g,E]. Throws ERR_INVALID_ARGUMENT for another shape.
  at::Tensor backbone(const at::Tensor& x, Activations* activations = nullptr);

  // Features [B,g,g,E] -> image embeddings [B,C,g,g], C = prompt_dim. Only for an encoder built with its neck.
  at::Tensor neck(const at::Tensor& features, Activations* activations = nullptr);

  // Activation checkpointing: the blocks keep only their inputs and compute the rest again in the backward pass. Takes less
  // memory and a third more time.
  void set_checkpointing(bool on);

 private:
  std::int64_t image_size_;
  at::Tensor pos_embed_;  // [1,g,g,E]
  PatchEmbed patch_embed_{nullptr};
  torch::nn::ModuleList blocks_;
  torch::nn::Sequential neck_{nullptr};
};
TORCH_MODULE(ImageEncoder);

}  // namespace cellsam::model
