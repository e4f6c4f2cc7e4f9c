// Sine embeddings of positions (Attention Is All You Need, Vaswani et al., NeurIPS 2017) as Anchor DETR (Wang et al., AAAI
// 2022) uses them for its anchors and image tokens, and the positions of the tokens of a padded image.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/kept_tensor.h"

namespace cellsam::model {

// Feature i of position p has the angle 2*pi * scale * p / temperature^(2*floor(i/2)/dim).
struct SineOptions {
  std::int64_t dim;
  double temperature = 10000.0;
  double scale = 1.0;
};

class SineEmbedding {
 public:
  explicit SineEmbedding(const SineOptions& options) : options_(options) {}  // `dim` must be a multiple of 4

  // Positions [...] -> [...,dim]: sine at even features, cosine at odd ones.
  at::Tensor line(const at::Tensor& position) const;

  // From the embeddings line(x) and line(y) of the coordinates [...,dim] that of the points (x,y) [...,dim]: the first half of
  // the features is of y, the second of x, each embedded in half as many features.
  static at::Tensor plane(const at::Tensor& x, const at::Tensor& y);

 private:
  SineOptions options_;
  mutable KeptTensor periods_;
};

struct GridCoordinates {
  at::Tensor y;  // [B,H]
  at::Tensor x;  // [B,W]
};

// The centres of rows and columns, f32, as fractions of the part of each image that is not padding. padding [B,H,W] bool,
// true = padded.
GridCoordinates grid_coordinates(const at::Tensor& padding);

}  // namespace cellsam::model
