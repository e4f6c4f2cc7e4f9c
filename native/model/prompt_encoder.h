// Turns prompts (points, boxes, low-resolution masks) into the tokens and the dense map that the mask decoder reads
// (Segment Anything, Kirillov et al., ICCV 2023; Fourier positions after Tancik et al., NeurIPS 2020).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "model/build.h"

namespace cellsam::model {

// Random Fourier features of a position in the unit square. The random matrix is a persistent buffer, part of the weights.
class FourierPositionImpl : public torch::nn::Module {
 public:
  explicit FourierPositionImpl(std::int64_t dim);
  at::Tensor forward(const at::Tensor& unit_xy);  // [...,2] in 0..1 as (x,y) -> [...,C], all sines before all cosines

 private:
  at::Tensor matrix_;
};
TORCH_MODULE(FourierPosition);

struct Prompts {
  at::Tensor sparse;  // [N,k,C]: the points, then the two corners of the box
  at::Tensor dense;   // [N,C,g,g]
};

class PromptEncoderImpl : public torch::nn::Module {
 public:
  explicit PromptEncoderImpl(const ModelSize& size);

  at::Tensor dense_position();  // [1,C,g,g]: the position of every cell centre, for the mask decoder

  at::Tensor no_mask() const {
    return no_mask_embed_->weight[0];
  }  // [C]: the dense map of a prompt without a mask, in each cell

  // points [N,k,2] (x,y) and boxes [N,4] (x1,y1,x2,y2) in pixels of the model's input; labels [N,k]: 1 in, 0 out, -1 no point;
  // masks [N,1,4g,4g] logits. A box may also come as [N,1,4]. Points and labels come together. With points and no boxes one
  // point labelled -1 is appended, as SAM does. Nothing at all gives N = 1, k = 0.
  Prompts forward(const std::optional<at::Tensor>& points, const std::optional<at::Tensor>& labels,
                  const std::optional<at::Tensor>& boxes, const std::optional<at::Tensor>& masks);

 private:
  at::Tensor embed_points(at::Tensor points, at::Tensor labels, bool pad);
  at::Tensor embed_boxes(const at::Tensor& boxes);
  at::Tensor kind(std::size_t index);  // [C]: 0 background point, 1 foreground point, 2 and 3 box corners

  std::int64_t image_size_;
  std::int64_t grid_;
  FourierPosition pe_layer_{nullptr};
  torch::nn::ModuleList point_embeddings_;
  torch::nn::Embedding not_a_point_embed_{nullptr};
  torch::nn::Sequential mask_downscaling_{nullptr};
  torch::nn::Embedding no_mask_embed_{nullptr};
};
TORCH_MODULE(PromptEncoder);

}  // namespace cellsam::model
