// The vision transformer of Segment Anything (Kirillov et al., ICCV 2023; after ViTDet, Li et al., ECCV 2022): patches,
// windowed and global attention with decomposed relative positions, and the convolutional neck. CellFinder's body is one
// without a neck.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include "model/build.h"
#include "model/taps.h"

namespace cellsam::model {

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

  // Image [B,3,S,S], S = image_size exactly -> output of the last block [B,g,g,E]. ERR_INVALID_ARGUMENT for another shape.
  at::Tensor backbone(const at::Tensor& x, Taps* taps = nullptr);

  // [B,g,g,E] -> [B,C,g,g] with C = prompt_dim. Only for an encoder built with its neck.
  at::Tensor neck(const at::Tensor& features, Taps* taps = nullptr);

  // backbone, then neck if there is one (else the backbone's features as they are).
  at::Tensor forward(const at::Tensor& x);

  // Whether the blocks keep only their inputs and compute the rest again in backward: less memory, a third more work.
  void set_checkpointing(bool on);

 private:
  std::int64_t image_size_;
  at::Tensor pos_embed_;
  PatchEmbed patch_embed_{nullptr};
  torch::nn::ModuleList blocks_;
  torch::nn::Sequential neck_{nullptr};
};
TORCH_MODULE(ImageEncoder);

}  // namespace cellsam::model
