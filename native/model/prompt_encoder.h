// The prompt encoder of Segment Anything (Kirillov et al., ICCV 2023): turns prompts (points, boxes, low-resolution masks) into
// the tokens and the dense map that the mask decoder takes.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "base/kept_tensor.h"
#include "model/model_size.h"

namespace cellsam::model {

// Random Fourier features of a position (Tancik et al., NeurIPS 2020): [sin(2 pi Bv), cos(2 pi Bv)] of v in -1..1, with a
// normally distributed matrix B. B is drawn once and is part of the weights, as a buffer.
class PositionEmbeddingRandomImpl : public torch::nn::Module {
 public:
  explicit PositionEmbeddingRandomImpl(std::int64_t dim);
  at::Tensor forward(const at::Tensor& unit_xy);  // [...,2] as (x,y) in 0..1 -> [...,C], all sines before all cosines

  // [1,C,g,g]: of the centres of g x g cells. Kept until the matrix is written to or moved.
  at::Tensor grid(std::int64_t side);

 private:
  at::Tensor matrix_;  // B, [2,C/2]
  KeptTensor grid_;
};
TORCH_MODULE(PositionEmbeddingRandom);

struct PromptEmbeddings {
  at::Tensor sparse;  // [N,k,C]: the points, then the two corners of the box
  at::Tensor dense;   // [N,C,g,g]
};

class PromptEncoderImpl : public torch::nn::Module {
 public:
  explicit PromptEncoderImpl(const ModelSize& size);

  // Embeds N prompts. points [N,k,2] as (x,y) and boxes [N,4] or [N,1,4] as (x1,y1,x2,y2), in pixels of the model's input;
  // labels [N,k]: 1 foreground, 0 background, -1 no point; masks [N,1,4g,4g] logits. With points and no boxes one point of
  // label -1 is appended, as SAM does. Without any prompt N = 1 and k = 0. Throws ERR_INVALID_ARGUMENT for points without
  // labels, or labels without points.
  PromptEmbeddings forward(const std::optional<at::Tensor>& points, const std::optional<at::Tensor>& labels,
                           const std::optional<at::Tensor>& boxes, const std::optional<at::Tensor>& masks);

  // [1,C,g,g]: the position embedding of every image token, for the mask decoder.
  at::Tensor dense_pe() { return pe_layer_->grid(grid_); }

  // [C]: what the dense map of a prompt without a mask holds at every position.
  at::Tensor no_mask_embedding() const { return no_mask_embed_->weight[0]; }

 private:
  at::Tensor embed_points(at::Tensor points, at::Tensor labels, bool pad);
  at::Tensor embed_boxes(const at::Tensor& boxes);
  at::Tensor point_embedding(std::size_t index);  // [C]: 0 background point, 1 foreground point, 2 and 3 corners of a box

  std::int64_t image_size_;
  std::int64_t grid_;
  PositionEmbeddingRandom pe_layer_{nullptr};
  torch::nn::ModuleList point_embeddings_;
  torch::nn::Embedding not_a_point_embed_{nullptr};
  torch::nn::Sequential mask_downscaling_{nullptr};
  torch::nn::Embedding no_mask_embed_{nullptr};
};
TORCH_MODULE(PromptEncoder);

}  // namespace cellsam::model
