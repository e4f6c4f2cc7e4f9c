#include "model/cellfinder.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>

namespace cellsam::model {

BackboneImpl::BackboneImpl(const ModelSize& size) { body = register_module("body", ImageEncoder(size, /*with_neck=*/false)); }

DecodeHeadImpl::DecodeHeadImpl(const ModelSize& size) {
  constexpr std::int64_t kGroups = 32;
  transformer = register_module("transformer", AnchorTransformer(size));
  register_module("input_proj", input_proj);
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(size.embed_dim, size.detector_dim, 1));
  torch::nn::init::xavier_uniform_(conv->weight);
  torch::nn::init::zeros_(conv->bias);
  input_proj->push_back(torch::nn::Sequential(conv, torch::nn::GroupNorm(kGroups, size.detector_dim)));
  backbone = register_module("backbone", Backbone(size));
}

CellFinderImpl::CellFinderImpl(const ModelSize& size) { decode_head = register_module("decode_head", DecodeHead(size)); }

Detections CellFinderImpl::forward(const at::Tensor& x, const std::optional<at::Tensor>& padding_mask) {
  return head(backbone(x), padding_mask);
}

at::Tensor CellFinderImpl::backbone(const at::Tensor& x) {
  return decode_head->backbone->body->backbone(x).permute({0, 3, 1, 2});
}

Detections CellFinderImpl::head(const at::Tensor& features, const std::optional<at::Tensor>& padding_mask,
                                Activations* activations, const OnLayers& on_layers) {
  std::optional<at::Tensor> padding;  // [B,g,g]
  if (padding_mask) {
    const auto pixels = padding_mask->unsqueeze(1).to(at::kFloat);
    padding = at::upsample_nearest2d(pixels, {features.size(2), features.size(3)}).squeeze(1).to(at::kBool);
    record(activations, "feature_mask", *padding);
  }
  const auto projected = decode_head->input_proj[0]->as<torch::nn::Sequential>()->forward(features);  // [B,D,g,g]
  record(activations, "input_proj", projected);
  return decode_head->transformer->forward(projected, padding, activations, on_layers);
}

}  // namespace cellsam::model
