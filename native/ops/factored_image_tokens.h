// The cells of one image as its prompts change them in the two-way transformer, without ever writing a prompt's cells [G,C]
// out. A few tokens can only add a few rows to each cell, and layer normalisation only scales what stands there, so that
//   cells = r2 N2(r1 N1(image + A1' B1) + bias + A2' B2) + bias          N = gain times centring, both linear
// with attention A [J,G], rows B [J,C] and one scale r for each cell; J = heads * tokens. Every product with the cells splits
// into one with the image, the same for all prompts, and small ones with the A. The algebra is exact: the same function.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "ops/upscaled_masks.h"

namespace cellsam::ops {

// A linear map: weight [out,in], bias [out].
struct Affine {
  at::Tensor weight, bias;
};

struct CrossAttention {
  Affine query, key, value, out;
};

// The weights that touch cells.
struct CellWeights {
  std::int64_t heads;
  CrossAttention read1, read2, read3;  // tokens look at cells: layer 1, layer 2, at the end
  CrossAttention write1, write2;       // cells look at tokens
  Affine norm1, norm2;                 // gain and bias [C] of the cells' norms
  double eps;
  Affine up;  // the first transposed convolution as a product: [4*C/4,C], by quarter of a cell and channel; bias as long
};

// What all prompts of an image share; each [H,E,G] unless said otherwise. Cells are the last dimension everywhere.
struct ImageMaps {
  at::Tensor key1, value1, query1;  // of the image itself
  at::Tensor out1, out2, out12;     // the rows that writes add, against the image where a norm sees both
  at::Tensor key2, value2, query2;  // of the image behind N1
  at::Tensor key3, value3;          // behind N2 N1
  at::Tensor up;                    // [4*C/4,G], behind N2 N1
  at::Tensor offset, norm1, norm2;  // [G]: layer 2's constant against the image, and the image's squared lengths

  std::vector<at::Tensor*> all();
};

// The part of the scores that cells' positions give, the same for all images.
struct PositionMaps {
  at::Tensor key2, query2, key3;  // [H,E,G]
};

// images [B,C,G] with the dense prompt added, position [C,G]. Differentiable in everything.
std::vector<ImageMaps> image_maps(const CellWeights& weights, const at::Tensor& images, const at::Tensor& position);
PositionMaps position_maps(const CellWeights& weights, const at::Tensor& position);

// The prompts of one image. Reads and writes come in the transformer's order; q, k, v [N,t,inner] are already projected.
class PromptedImage {
 public:
  PromptedImage(const CellWeights& weights, const ImageMaps& image, const PositionMaps& position)
      : weights_(weights), image_(image), position_(position) {}

  at::Tensor read1(const at::Tensor& q);  // [N,t,inner]: mixed values, before the output projection
  void write1(const at::Tensor& k, const at::Tensor& v);
  at::Tensor read2(const at::Tensor& q);
  void write2(const at::Tensor& k, const at::Tensor& v);
  at::Tensor read3(const at::Tensor& q);

  UpscaledCells upscaled() const;  // after the first transposed convolution

 private:
  at::Tensor split(const at::Tensor& x) const;                       // [N,t,H*E] -> [N,H,t,E]
  at::Tensor spread(const at::Tensor& v, const Affine& out) const;   // [N,H,t,E] -> rows [N,H*t,C]
  at::Tensor seen(const at::Tensor& rows, const Affine& map) const;  // rows behind a projection: [N,R,C] -> [N,R,H,E]
  // Scores of q with rows behind a projection: [N,H,t,E], rows [N,R,C] -> [N,H*t,R].
  at::Tensor meet(const at::Tensor& q, const Affine& map, const at::Tensor& rows) const;
  // The mix of rows behind a projection: weights [N,H*t,R] -> [N,H,t,E].
  at::Tensor gather(const at::Tensor& weights, const Affine& map, const at::Tensor& rows) const;
  at::Tensor behind2(const at::Tensor& rows) const;  // N2
  double scale() const;                              // of scores: 1 / sqrt(E)
  at::Tensor rate(const at::Tensor& squares) const;  // of layer normalisation, from the squared lengths of centred cells

  const CellWeights& weights_;
  const ImageMaps& image_;
  const PositionMaps& position_;
  at::Tensor v1_, a1_, d1_, r1_;  // [N,H,t,E], [N,J,G], N1 of the rows [N,J,C], [N,1,G]
  at::Tensor a2_, d2_, r2_, d12_;
};

// Rows minus their mean over the last dimension: the linear half of layer normalisation.
at::Tensor centred(const at::Tensor& rows);

}  // namespace cellsam::ops
