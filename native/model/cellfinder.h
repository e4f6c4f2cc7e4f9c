// CellFinder, the box detector of CellSAM: a ViT backbone of its own, one projection, and the Anchor DETR transformer
// (Wang et al., AAAI 2022; Israel et al., 2023).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "model/anchor_transformer.h"
#include "model/build.h"
#include "model/image_encoder.h"
#include "model/taps.h"

namespace cellsam::model {

// Anchor DETR's holder of the backbone: state-dict names say backbone.body.
class BackboneImpl : public torch::nn::Module {
 public:
  explicit BackboneImpl(const ModelSize& size);
  ImageEncoder body{nullptr};
};
TORCH_MODULE(Backbone);

// The network under `cellfinder.decode_head`: everything that CellFinder is.
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

  // Image [B,3,S,S] -> features [B,E,g,g].
  at::Tensor backbone(const at::Tensor& x);

  // Features of this backbone or of SAM's (permuted to [B,E,g,g]) -> boxes and classes of every decoder layer, the last =
  // final. padding_mask [B,S,S] (or already [B,g,g]), bool: true where an image of a mixed-size batch was padded.
  Detections head(const at::Tensor& features, const std::optional<at::Tensor>& padding_mask = std::nullopt,
                  Taps* taps = nullptr, const OnLayer& on_layer = {});

  Detections forward(const at::Tensor& x, const std::optional<at::Tensor>& padding_mask = std::nullopt);

  DecodeHead decode_head{nullptr};
};
TORCH_MODULE(CellFinder);

}  // namespace cellsam::model
