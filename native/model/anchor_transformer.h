// The transformer of Anchor DETR (Wang et al., AAAI 2022): image tokens attend to each other, then queries (each anchor point
// with each pattern) attend to the image, and every decoder layer predicts a box relative to each query's anchor.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <functional>
#include <optional>
#include <vector>

#include "model/activations.h"
#include "model/mlp.h"
#include "model/model_size.h"
#include "model/sine_embedding.h"

namespace cellsam::model {

// Predictions of every decoder layer, the last one final. Q = num_queries * num_patterns.
struct Detections {
  at::Tensor logits;  // [decoder_layers,B,Q,classes]; each class is an independent sigmoid, there is no background class
  at::Tensor boxes;   // [decoder_layers,B,Q,4] as (cx,cy,w,h) in 0..1 of the model's input
  at::Tensor tokens;  // [B,H,W,D], the image tokens that the encoder returns
};

// Called with the predictions of one or several decoder layers, `first` the first of them, as soon as they exist, so that work
// on them can begin: logits [layers,B,Q,classes], boxes [layers,B,Q,4].
using OnLayers = std::function<void(std::int64_t first, const at::Tensor& logits, const at::Tensor& boxes)>;

class AnchorTransformerImpl : public torch::nn::Module {
 public:
  explicit AnchorTransformerImpl(const ModelSize& size);

  // features [B,D,H,W], padding [B,H,W] bool, true = padded. Returns `decoder_layers` predictions.
  Detections forward(const at::Tensor& features, const std::optional<at::Tensor>& padding, Activations* activations = nullptr,
                     const OnLayers& on_layers = {});

 private:
  void reset_parameters();
  // The sine embeddings of image tokens, one column and one row after another: x [B or 1,W,D], y [B or 1,H,D].
  std::pair<at::Tensor, at::Tensor> grid_sines(const at::Tensor& features, const std::optional<at::Tensor>& padding,
                                               Activations* activations);

  ModelSize size_;
  SineEmbedding sine_;
  KeptTensor no_padding_sines_;  // of the last size of maps without padding: [W + H,D]
  torch::nn::ModuleList encoder_layers_, decoder_layers_;
  torch::nn::Embedding pattern_{nullptr}, position_{nullptr};
  torch::nn::Sequential adapt_pos2d_{nullptr}, adapt_pos1d_{nullptr};
  // One class head and one box head, under as many names as there are decoder layers: so the checkpoints list them.
  torch::nn::ModuleList class_embed_, bbox_embed_;
};
TORCH_MODULE(AnchorTransformer);

}  // namespace cellsam::model
