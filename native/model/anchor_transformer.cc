#include "model/anchor_transformer.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>

#include <cmath>

#include "model/anchor_layers.h"
#include "model/sine_embedding.h"

namespace cellsam::model {
namespace {

// The perceptron that position embeddings go through.
torch::nn::Sequential adapter(std::int64_t dim) {
  return torch::nn::Sequential(torch::nn::Linear(dim, dim), torch::nn::ReLU(), torch::nn::Linear(dim, dim));
}

at::Tensor inverse_sigmoid(const at::Tensor& x) {
  constexpr double kEps = 1e-5;
  const auto p = x.clamp(0, 1);
  return (p.clamp_min(kEps) / (1 - p).clamp_min(kEps)).log();
}

// `count` = n * n anchors [n*n,2] as (x,y): the centres of an n x n grid, row by row.
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
  reset_parameters();
}

// As in Anchor DETR: every class has probability 0.01 (Lin et al., ICCV 2017), every box is small and at its anchor.
void AnchorTransformerImpl::reset_parameters() {
  at::NoGradGuard no_grad;
  class_embed_[0]->as<torch::nn::Linear>()->bias.fill_(-std::log(99.0));
  auto& last = bbox_embed_[0]->as<Mlp>()->last_layer();
  last.weight.zero_();
  last.bias.zero_();
  last.bias.slice(0, 2).fill_(-2.0);
  if (size_.grid_anchors) {
    position_->weight.copy_(anchor_grid(size_.num_queries));
  } else {
    position_->weight.uniform_(0, 1);
  }
}

Detections AnchorTransformerImpl::forward(const at::Tensor& features, const std::optional<at::Tensor>& padding,
                                          Activations* activations, const OnLayer& on_layer) {
  const auto batch = features.size(0);
  const SineOptions sine{size_.detector_dim, size_.position_temperature, size_.position_scale};
  const auto embed_1d = [&](const at::Tensor& p) { return adapt_pos1d_->forward(sine_embedding_1d(p, sine)); };
  const auto& anchors = position_->weight;  // [num_queries,2]

  // Positions of the image tokens.
  const auto no_padding =
      at::zeros({1, features.size(2), features.size(3)}, features.options().dtype(at::kBool).requires_grad(false));
  const auto grid = grid_coordinates(padding ? *padding : no_padding);
  const auto x = embed_1d(grid.x.to(anchors.scalar_type()));  // [B,W,D]
  const auto y = embed_1d(grid.y.to(anchors.scalar_type()));  // [B,H,D]
  record(activations, "pos_row_x", grid.x);
  record(activations, "pos_col_y", grid.y);
  record(activations, "posemb_row", x);
  const ImagePosition image_position{x.unsqueeze(1), y.unsqueeze(2)};

  // Encoder.
  auto tokens = features.permute({0, 2, 3, 1}).contiguous();  // [B,H,W,D]
  for (std::size_t i = 0; i < encoder_layers_->size(); ++i) {
    tokens = encoder_layers_[i]->as<AnchorEncoderLayer>()->forward(tokens, image_position, padding);
    record(activations, "enc" + std::to_string(i), tokens.permute({0, 3, 1, 2}));
  }

  // Queries: pattern after pattern, each at all anchors. With one pattern all queries are the same until they have attended to
  // the image, since only their positions differ: a single row stands for them, which the layers expand.
  const auto reference = anchors.repeat({size_.num_patterns, 1}).unsqueeze(0);  // [1,Q,2]
  const auto repeats = size_.num_patterns == 1 ? 1 : size_.num_queries;
  auto queries = pattern_->weight.repeat_interleave(repeats, 0).unsqueeze(0).expand({batch, -1, -1});  // [B,Q or 1,D]
  const QueryPosition query_position{adapt_pos2d_->forward(sine_embedding_2d(reference, sine)),
                                     embed_1d(reference.select(-1, 0)), embed_1d(reference.select(-1, 1))};

  // Decoder. Boxes are offsets from the anchors before the sigmoid. They are converted to the parameters' type first: bfloat16
  // would round them to 4 pixels in 1024.
  const auto anchor_logits = inverse_sigmoid(reference);
  Detections detections;
  for (std::size_t i = 0; i < decoder_layers_->size(); ++i) {
    queries = decoder_layers_[i]->as<AnchorDecoderLayer>()->forward(queries, query_position, tokens, image_position, padding);
    record(activations, "dec" + std::to_string(i), queries);
    const auto delta = bbox_embed_[i]->as<Mlp>()->forward(queries).to(anchors.scalar_type());  // [B,Q,4]
    const auto boxes = at::cat({delta.slice(-1, 0, 2) + anchor_logits, delta.slice(-1, 2)}, -1).sigmoid();
    detections.boxes.push_back(boxes);
    detections.logits.push_back(class_embed_[i]->as<torch::nn::Linear>()->forward(queries).to(anchors.scalar_type()));
    if (on_layer) on_layer(i, detections.logits.back(), detections.boxes.back());
  }
  return detections;
}

}  // namespace cellsam::model
