// CellFinder, the box detector of CellSAM (Israel et al., 2023): a vision transformer of its own, one projection, and the
// transformer of Anchor DETR (Wang et al., AAAI 2022).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "model/activations.h"
#include "model/anchor_transformer.h"
#include "model/image_encoder.h"
#include "model/model_size.h"

namespace cellsam::model {

// The next two classes exist for the names in the state dict: cellfinder.decode_head.backbone.body.
class BackboneImpl : public torch::nn::Module {
 public:
  explicit BackboneImpl(const ModelSize& size);
  ImageEncoder body{nullptr};  // without a neck
};
TORCH_MODULE(Backbone);

class DecodeHeadImpl : public torch::nn::Module {
 public:
  explicit DecodeHeadImpl(const ModelSize& size);

  AnchorTransformer transformer{nullptr};
  torch::nn::ModuleList input_proj;
  Backbone backbone{nullptr};
};
TORCH_MODULE(DecodeHead);

class CellFinderImpl : public torch::nn::Module {
 public:
  explicit CellFinderImpl(const ModelSize& size);

  // backbone, then head. Images [B,3,S,S]; padding_mask as below.
  Detections forward(const at::Tensor& x, const std::optional<at::Tensor>& padding_mask = std::nullopt);

  // Images [B,3,S,S] -> features [B,E,g,g].
  at::Tensor backbone(const at::Tensor& x);

  // Features [B,E,g,g] of this backbone or of SAM's -> boxes and classes of every decoder layer. padding_mask [B,S,S] or
  // [B,g,g], bool: true where an image of a batch of mixed sizes was padded.
  Detections head(const at::Tensor& features, const std::optional<at::Tensor>& padding_mask = std::nullopt,
                  Activations* activations = nullptr, const OnLayers& on_layers = {});

  DecodeHead decode_head{nullptr};
};
TORCH_MODULE(CellFinder);

}  // namespace cellsam::model
