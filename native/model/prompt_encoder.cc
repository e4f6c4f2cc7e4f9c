#include "model/prompt_encoder.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>

#include <numbers>

#include "model/layer_norm_2d.h"

namespace cellsam::model {

PositionEmbeddingRandomImpl::PositionEmbeddingRandomImpl(std::int64_t dim) {
  matrix_ = register_buffer("positional_encoding_gaussian_matrix", at::randn({2, dim / 2}));
}

at::Tensor PositionEmbeddingRandomImpl::forward(const at::Tensor& unit_xy) {
  const auto xy = 2 * unit_xy.to(matrix_.scalar_type()) - 1;
  // Written out, not as a matrix product: autocast would round the coordinates to bfloat16, 4 pixels in 1024.
  const auto product = xy.select(-1, 0).unsqueeze(-1) * matrix_[0] + xy.select(-1, 1).unsqueeze(-1) * matrix_[1];
  const auto angle = 2 * std::numbers::pi * product;  // [...,C/2]
  return at::cat({angle.sin(), angle.cos()}, -1);
}

at::Tensor PositionEmbeddingRandomImpl::grid(std::int64_t side) {
  const std::vector<std::int64_t> key{side, reinterpret_cast<std::intptr_t>(matrix_.const_data_ptr()),
                                      static_cast<std::int64_t>(matrix_._version())};
  return grid_.get(matrix_.options(), key, [&] {
    const auto centre = (at::arange(side, matrix_.options()) + 0.5) / side;
    const auto y = centre.unsqueeze(1).expand({side, side}), x = centre.unsqueeze(0).expand({side, side});
    return forward(at::stack({x, y}, -1)).permute({2, 0, 1}).unsqueeze(0);
  });
}

PromptEncoderImpl::PromptEncoderImpl(const ModelSize& size) : image_size_(size.image_size), grid_(size.grid()) {
  const auto dim = size.prompt_dim, chans = size.mask_in_chans;
  const auto downscale = [](std::int64_t in, std::int64_t out) {
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 2).stride(2));
  };
  pe_layer_ = register_module("pe_layer", PositionEmbeddingRandom(dim));
  register_module("point_embeddings", point_embeddings_);
  for (int i = 0; i < 4; ++i) point_embeddings_->push_back(torch::nn::Embedding(1, dim));
  not_a_point_embed_ = register_module("not_a_point_embed", torch::nn::Embedding(1, dim));
  mask_downscaling_ = register_module(
      "mask_downscaling",
      torch::nn::Sequential(downscale(1, chans / 4), LayerNorm2d(chans / 4), torch::nn::GELU(), downscale(chans / 4, chans),
                            LayerNorm2d(chans), torch::nn::GELU(), torch::nn::Conv2d(torch::nn::Conv2dOptions(chans, dim, 1))));
  no_mask_embed_ = register_module("no_mask_embed", torch::nn::Embedding(1, dim));
}

PromptEmbeddings PromptEncoderImpl::forward(const std::optional<at::Tensor>& points, const std::optional<at::Tensor>& labels,
                                            const std::optional<at::Tensor>& boxes, const std::optional<at::Tensor>& masks) {
  if (points.has_value() != labels.has_value()) throw Error("ERR_INVALID_ARGUMENT", "give point labels with points");
  std::vector<at::Tensor> tokens;
  if (points) tokens.push_back(embed_points(*points, *labels, /*pad=*/!boxes));
  if (boxes) tokens.push_back(embed_boxes(*boxes));
  const auto count = !tokens.empty() ? tokens[0].size(0) : masks ? masks->size(0) : 1;
  const auto& no_mask = no_mask_embed_->weight;  // [1,C]
  PromptEmbeddings prompts;
  prompts.sparse =
      tokens.empty() ? at::zeros({count, 0, no_mask.size(1)}, no_mask.options().requires_grad(false)) : at::cat(tokens, 1);
  prompts.dense = masks ? mask_downscaling_->forward(*masks)
                        : no_mask.reshape({1, -1, 1, 1}).expand({count, no_mask.size(1), grid_, grid_});
  return prompts;
}

at::Tensor PromptEncoderImpl::embed_points(at::Tensor points, at::Tensor labels, bool pad) {
  points = points.to(no_mask_embed_->weight.scalar_type()) + 0.5;  // to the centre of the pixel
  if (pad) {
    points = at::cat({points, points.new_zeros({points.size(0), 1, 2})}, 1);
    labels = at::cat({labels, labels.new_full({labels.size(0), 1}, -1)}, 1);
  }
  const auto position = pe_layer_->forward(points / image_size_);  // [N,k,C]
  const auto is = [&](int label) { return labels.eq(label).unsqueeze(-1).to(position.scalar_type()); };
  return position * (1 - is(-1)) + is(-1) * not_a_point_embed_->weight[0] + is(0) * point_embedding(0) +
         is(1) * point_embedding(1);
}

at::Tensor PromptEncoderImpl::embed_boxes(const at::Tensor& boxes) {
  const auto corners = boxes.to(no_mask_embed_->weight.scalar_type()).reshape({-1, 2, 2}) + 0.5;  // to the pixels' centres
  return pe_layer_->forward(corners / image_size_) + at::stack({point_embedding(2), point_embedding(3)});
}

at::Tensor PromptEncoderImpl::point_embedding(std::size_t index) {
  return point_embeddings_[index]->as<torch::nn::Embedding>()->weight[0];
}

}  // namespace cellsam::model
