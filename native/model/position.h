// Sine embeddings of positions, and the positions of the cells of a padded grid (Anchor DETR, Wang et al., AAAI 2022;
// after Attention Is All You Need, Vaswani et al., 2017).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cellsam::model {

// How fine the sines are. Feature i has the angle 2*pi * scale * position / temperature^(2*floor(i/2)/dim).
struct SineOptions {
  std::int64_t dim;
  double temperature = 10000.0;
  double scale = 1.0;
};

// [...] -> [...,dim]: sine at even features, cosine at odd ones. `dim` must be even.
at::Tensor sine_1d(const at::Tensor& position, const SineOptions& options);

// [...,2] as (x,y) -> [...,dim]: the first half of the features tells y, the second x. `dim` must be a multiple of 4.
at::Tensor sine_2d(const at::Tensor& position, const SineOptions& options);

struct GridPosition {
  at::Tensor y;  // [B,H]
  at::Tensor x;  // [B,W]
};

// Centres of the rows and columns in 0..1 of each image's own unpadded area, float32. padding [B,H,W] bool, true = padded.
GridPosition grid_position(const at::Tensor& padding);

}  // namespace cellsam::model
