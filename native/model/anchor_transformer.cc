#include "model/anchor_transformer.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>

#include <cmath>

#include "model/anchor_layers.h"
#include "model/position.h"

namespace cellsam::model {
namespace {

torch::nn::Sequential adapter(std::int64_t dim) {
  return torch::nn::Sequential(torch::nn::Linear(dim, dim), torch::nn::ReLU(), torch::nn::Linear(dim, dim));
}

at::Tensor inverse_sigmoid(const at::Tensor& x) {
  constexpr double kEps = 1e-5;
  const auto p = x.clamp(0, 1);
  return (p.clamp_min(kEps) / (1 - p).clamp_min(kEps)).log();
}

// [n*n,2] as (x,y): the cell centres of an n x n grid, row by row.
at::Tensor anchor_grid(std::int64_t count) {
  const auto side = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(count))));
  const auto centre = (at::arange(side, at::kFloat) + 0.5) / side;
  return at::stack({centre.repeat({side}), centre.repeat_interleave(side)}, 1);
}

}  // namespace

AnchorTransformerImpl::AnchorTransformerImpl(const ModelSize& size) : size_(size) {
  const auto dim = size.detector_dim;
  register_module("encoder_layers", encoder_layers_);
  for (std::int64_t i = 0; i < size.encoder_layers; ++i) encoder_layers_->push_back(AnchorEncoderLayer(size));
  register_module("decoder_layers", decoder_layers_);
  for (std::int64_t i = 0; i < size.decoder_layers; ++i) decoder_layers_->push_back(AnchorDecoderLayer(size));
  pattern_ = register_module("pattern", torch::nn::Embedding(size.num_patterns, dim));
  position_ = register_module("position", torch::nn::Embedding(size.num_queries, 2));
  adapt_pos2d_ = register_module("adapt_pos2d", adapter(dim));
  adapt_pos1d_ = register_module("adapt_pos1d", adapter(dim));
  register_module("class_embed", class_embed_);
  register_module("bbox_embed", bbox_embed_);
  const torch::nn::Linear class_head(dim, size.num_classes);
  const Mlp box_head(dim, dim, 4, 3);
  for (std::int64_t i = 0; i < size.decoder_layers; ++i) {
    class_embed_->push_back(class_head);
    bbox_embed_->push_back(box_head);
  }
  reset();
}

// As Anchor DETR starts out: every class at probability 0.01 (Lin et al., ICCV 2017), every box small and at its anchor.
void AnchorTransformerImpl::reset() {
  at::NoGradGuard no_grad;
  class_embed_[0]->as<torch::nn::Linear>()->bias.fill_(-std::log(99.0));
  auto& last = bbox_embed_[0]->as<Mlp>()->last();
  last.weight.zero_();
  last.bias.zero_();
  last.bias.slice(0, 2).fill_(-2.0);
  if (size_.grid_anchors) {
    position_->weight.copy_(anchor_grid(size_.num_queries));
  } else {
    position_->weight.uniform_(0, 1);
  }
}

Detections AnchorTransformerImpl::forward(const at::Tensor& features, const std::optional<at::Tensor>& padding, Taps* taps,
                                          const OnLayer& on_layer) {
  const auto batch = features.size(0);
  const SineOptions sine{size_.detector_dim, size_.position_temperature, size_.position_scale};
  const auto embed_1d = [&](const at::Tensor& p) { return adapt_pos1d_->forward(sine_1d(p, sine)); };

  const auto& anchors = position_->weight;
  const auto whole =
      at::zeros({1, features.size(2), features.size(3)}, features.options().dtype(at::kBool).requires_grad(false));
  const auto grid = grid_position(padding ? *padding : whole);
  const auto x = embed_1d(grid.x.to(anchors.scalar_type())), y = embed_1d(grid.y.to(anchors.scalar_type()));
  tap(taps, "pos_row_x", grid.x);
  tap(taps, "pos_col_y", grid.y);
  tap(taps, "posemb_row", x);
  const CellPosition cell_position{x.unsqueeze(1), y.unsqueeze(2)};

  auto cells = features.permute({0, 2, 3, 1}).contiguous();  // [B,H,W,D]
  for (std::size_t i = 0; i < encoder_layers_->size(); ++i) {
    cells = encoder_layers_[i]->as<AnchorEncoderLayer>()->forward(cells, cell_position, padding);
    tap(taps, "enc" + std::to_string(i), cells.permute({0, 3, 1, 2}));
  }

  // Pattern by pattern, each over all anchors. [1,Q,2], [B,Q,D].
  const auto reference = anchors.repeat({size_.num_patterns, 1}).unsqueeze(0);
  // One pattern alone stays one row until its queries have looked at the map: before that only their places differ.
  const auto anchors_each = size_.num_patterns == 1 ? 1 : size_.num_queries;
  auto queries = pattern_->weight.repeat_interleave(anchors_each, 0).unsqueeze(0).expand({batch, -1, -1});
  const QueryPosition query_position{adapt_pos2d_->forward(sine_2d(reference, sine)), embed_1d(reference.select(-1, 0)),
                                     embed_1d(reference.select(-1, 1))};
  const auto offset = inverse_sigmoid(reference);
  Detections detections;
  for (std::size_t i = 0; i < decoder_layers_->size(); ++i) {
    queries = decoder_layers_[i]->as<AnchorDecoderLayer>()->forward(queries, query_position, cells, cell_position, padding);
    tap(taps, "dec" + std::to_string(i), queries);
    // Answers leave in the parameters' precision: bfloat16 boxes would be 4 pixels coarse at 1024.
    const auto delta = bbox_embed_[i]->as<Mlp>()->forward(queries).to(anchors.scalar_type());
    const auto boxes = at::cat({delta.slice(-1, 0, 2) + offset, delta.slice(-1, 2)}, -1).sigmoid();
    detections.boxes.push_back(boxes);
    detections.logits.push_back(class_embed_[i]->as<torch::nn::Linear>()->forward(queries).to(anchors.scalar_type()));
    if (on_layer) on_layer(i, detections.logits.back(), detections.boxes.back());
  }
  return detections;
}

}  // namespace cellsam::model
