#include "model/anchor_transformer.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>

#include <cmath>
#include <utility>

#include "model/anchor_layers.h"
#include "model/apply_linear.h"

namespace cellsam::model {
namespace {

// The perceptron that position embeddings go through.
torch::nn::Sequential adapter(std::int64_t dim) {
  return torch::nn::Sequential(torch::nn::Linear(dim, dim), torch::nn::ReLU(), torch::nn::Linear(dim, dim));
}

at::Tensor adapt(torch::nn::Sequential adapter, const at::Tensor& sines) {
  const auto layer = [&](std::size_t index) -> auto& { return *adapter[index]->as<torch::nn::Linear>(); };
  return apply_linear(layer(2), at::relu(apply_linear(layer(0), sines)));
}

// `count` = n * n anchors [n*n,2] as (x,y): the centres of an n x n grid, row by row.
at::Tensor anchor_grid(std::int64_t count) {
  const auto side = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(count))));
  const auto centre = (at::arange(side, at::kFloat) + 0.5) / side;
  return at::stack({centre.repeat({side}), centre.repeat_interleave(side)}, 1);
}

}  // namespace

AnchorTransformerImpl::AnchorTransformerImpl(const ModelSize& size)
    : size_(size), sine_({size.detector_dim, size.position_temperature, size.position_scale}) {
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

std::pair<at::Tensor, at::Tensor> AnchorTransformerImpl::grid_sines(const at::Tensor& features,
                                                                    const std::optional<at::Tensor>& padding,
                                                                    Activations* activations) {
  const auto height = features.size(2), width = features.size(3);
  const auto& anchors = position_->weight;
  const auto sines_of = [&](const at::Tensor& padded) {
    const auto grid = grid_coordinates(padded);
    record(activations, "pos_row_x", grid.x);
    record(activations, "pos_col_y", grid.y);
    return std::pair(sine_.line(grid.x.to(anchors.scalar_type())), sine_.line(grid.y.to(anchors.scalar_type())));
  };
  if (padding) return sines_of(*padding);
  const auto unpadded = [&] {
    const auto options = anchors.options().requires_grad(false);
    return sines_of(at::zeros({1, height, width}, options.dtype(at::kBool)));
  };
  if (activations != nullptr) return unpadded();
  const auto kept = no_padding_sines_.get(anchors.options(), {height, width}, [&] {
    const auto [x, y] = unpadded();
    return at::cat({x[0], y[0]});
  });
  return {kept.slice(0, 0, width).unsqueeze(0), kept.slice(0, width).unsqueeze(0)};
}

Detections AnchorTransformerImpl::forward(const at::Tensor& features, const std::optional<at::Tensor>& padding,
                                          Activations* activations, const OnLayers& on_layers) {
  const auto batch = features.size(0);
  const auto& anchors = position_->weight;  // [num_queries,2]

  // Positions of image tokens and anchors, through one perceptron together.
  const auto [x_sines, y_sines] = grid_sines(features, padding, activations);
  const auto anchor_sines = sine_.line(anchors.t());  // [2,num_queries,D] of x and y
  const auto embedded =
      adapt(adapt_pos1d_, at::cat({x_sines.flatten(0, 1), y_sines.flatten(0, 1), anchor_sines.flatten(0, 1)}))
          .split({x_sines.size(0) * x_sines.size(1), y_sines.size(0) * y_sines.size(1), size_.num_queries, size_.num_queries});
  const auto x = embedded[0].view(x_sines.sizes()), y = embedded[1].view(y_sines.sizes());
  record(activations, "posemb_row", x);
  const ImagePosition image_position{x.unsqueeze(1), y.unsqueeze(2)};

  // Encoder.
  auto tokens = features.permute({0, 2, 3, 1}).contiguous();  // [B,H,W,D]
  for (std::size_t i = 0; i < encoder_layers_->size(); ++i) {
    tokens = encoder_layers_[i]->as<AnchorEncoderLayer>()->forward(tokens, image_position, padding);
    record(activations, "enc" + std::to_string(i), tokens.permute({0, 3, 1, 2}));
  }
  const auto keys = image_keys(tokens, image_position);

  // Queries: pattern after pattern, each at all anchors. With one pattern all queries are the same until they have attended to
  // the image, since only their positions differ: a single row stands for them, which the layers expand.
  const auto of_patterns = [&](const at::Tensor& of_anchors) {
    return size_.num_patterns == 1 ? of_anchors : of_anchors.repeat({size_.num_patterns, 1});
  };
  const auto of_batch = [&](const at::Tensor& of_anchors) {  // [num_queries,D] -> [B,Q,D]
    return of_patterns(of_anchors).unsqueeze(0).expand({batch, -1, -1});
  };
  const auto& pattern = pattern_->weight;
  const auto each = size_.num_patterns == 1 ? pattern : pattern.repeat_interleave(size_.num_queries, 0);
  auto queries = each.unsqueeze(0).expand({batch, -1, -1});  // [B,Q or 1,D]
  const QueryPosition query_position{of_batch(adapt(adapt_pos2d_, SineEmbedding::plane(anchor_sines[0], anchor_sines[1]))),
                                     of_batch(embedded[2]), of_batch(embedded[3])};

  // Boxes are offsets from the anchors before the sigmoid. They are converted to the parameters' type first: bfloat16 would
  // round them to 4 pixels in 1024.
  const auto anchor_logits = at::constant_pad_nd(of_patterns(anchors.logit(1e-5)), {0, 2});  // [Q,4]
  const auto predict = [&](const at::Tensor& of_layers) {                                    // [n,B,Q,D]
    const auto delta = bbox_embed_[0]->as<Mlp>()->forward(of_layers).to(anchors.scalar_type());
    const auto logits = apply_linear(*class_embed_[0]->as<torch::nn::Linear>(), of_layers).to(anchors.scalar_type());
    return std::pair(logits, (delta + anchor_logits).sigmoid());
  };

  // Decoder. The layers share one class head and one box head. A GPU runs them once for all layers, with a fraction of the
  // operations to start; on the CPU `on_layers` can work on one layer's predictions while the next is computed.
  const auto layers = static_cast<std::int64_t>(decoder_layers_->size());
  const std::int64_t at_once = features.is_cuda() ? layers : 1;
  std::vector<at::Tensor> waiting, all_logits, all_boxes;
  for (std::int64_t i = 0; i < layers; ++i) {
    const auto& layer = decoder_layers_[static_cast<std::size_t>(i)];
    queries = layer->as<AnchorDecoderLayer>()->forward(queries, query_position, tokens, keys, padding);
    record(activations, "dec" + std::to_string(i), queries);
    waiting.push_back(queries);
    if (std::ssize(waiting) < at_once) continue;
    const auto [logits, boxes] = predict(at_once == 1 ? queries.unsqueeze(0) : at::stack(waiting));
    if (on_layers) on_layers(i + 1 - at_once, logits, boxes);
    all_logits.push_back(logits);
    all_boxes.push_back(boxes);
    waiting.clear();
  }
  const auto joined = [](const std::vector<at::Tensor>& parts) { return parts.size() == 1 ? parts[0] : at::cat(parts); };
  return {joined(all_logits), joined(all_boxes), tokens};
}

}  // namespace cellsam::model
