// Sine embeddings of positions (Attention Is All You Need, Vaswani et al., NeurIPS 2017) as Anchor DETR (Wang et al., AAAI
// 2022) uses them for its anchors and image tokens, and the positions of the tokens of a padded image.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cellsam::model {

// Feature i of position p has the angle 2*pi * scale * p / temperature^(2*floor(i/2)/dim).
struct SineOptions {
  std::int64_t dim;
  double temperature = 10000.0;
  double scale = 1.0;
};

// Positions [...] -> [...,dim]: sine at even features, cosine at odd ones. `dim` must be even.
at::Tensor sine_embedding_1d(const at::Tensor& position, const SineOptions& options);

// Positions [...,2] as (x,y) -> [...,dim]: the first half of the
// features is of y, the second of x. `dim` must be a multiple of 4.
at::Tensor sine_embedding_2d(const at::Tensor& position, const SineOptions& options);

struct GridCoordinates {
  at::Tensor y;  // [B,H]
  at::Tensor x;  // [B,W]
};

// The centres of rows and columns, f32, as fractions of the part of each image that is not padding. padding [B,H,W] bool,
// true = padded.
GridCoordinates grid_coordinates(const at::Tensor& padding);

}  // namespace cellsam::model
