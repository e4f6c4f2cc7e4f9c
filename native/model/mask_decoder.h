// Predicts masks and their quality from an image embedding and encoded prompts (Segment Anything, Kirillov et al., ICCV 2023).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/pimpl.h>

#include "model/build.h"
#include "model/mlp.h"
#include "model/taps.h"
#include "model/two_way_transformer.h"

namespace cellsam::model {

struct Masks {
  at::Tensor logits;  // [N,1,4g,4g], or [N,M,4g,4g] for multimask
  at::Tensor iou;     // [N,1] or [N,M]: predicted IoU of each mask, not squashed
};

// Images as their prompts share them: made once, read by any number of chunks of prompts.
struct FactoredImages {
  ops::CellWeights weights;
  ops::PositionMaps position;
  std::vector<ops::ImageMaps> images;
  std::int64_t rows, columns;  // of cells

  std::vector<at::Tensor*> derived();  // all that was computed, of images or weights
};

class MaskDecoderImpl : public torch::nn::Module {
 public:
  explicit MaskDecoderImpl(const ModelSize& size);

  // image_embeddings [1,C,g,g] (one image for all prompts) or [N,C,g,g] (an image for each), image_position [1,C,g,g],
  // sparse [N,k,C], dense [N,C,g,g]. multimask: the M alternatives for an ambiguous prompt instead of the one mask.
  Masks forward(const at::Tensor& image_embeddings, const at::Tensor& image_position, const at::Tensor& sparse,
                const at::Tensor& dense, bool multimask);

  // Masks `first` to `first + count - 1` of the M + 1; index 0 is the single mask, the others are the alternatives.
  Masks predict(const at::Tensor& image_embeddings, const at::Tensor& image_position, const at::Tensor& sparse,
                const at::Tensor& dense, std::int64_t first, std::int64_t count, Taps* taps = nullptr);

  // The same function in fewer operations for prompts without a dense map of their own. image_embeddings [B,C,g,g],
  // dense [C]: what all cells of a prompt without a mask have added. Only where `can_factor` says so.
  bool can_factor() const { return transformer_->can_factor(); }
  FactoredImages factor(const at::Tensor& image_embeddings, const at::Tensor& image_position, const at::Tensor& dense);
  // sparse [N,k,C]: `counts[i]` prompts of image `rows[i]`, one image after the other.
  Masks forward(const FactoredImages& images, const std::vector<std::int64_t>& rows, const std::vector<std::int64_t>& counts,
                const at::Tensor& sparse, bool multimask);

 private:
  at::Tensor all_tokens(const at::Tensor& sparse) const;                                 // [N,1+masks+k,C]
  at::Tensor filters(const at::Tensor& tokens, std::int64_t first, std::int64_t count);  // [N,count,C/8]
  Masks with_quality(at::Tensor logits, const at::Tensor& tokens, std::int64_t first, std::int64_t count);
  ops::CellWeights cell_weights();

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
