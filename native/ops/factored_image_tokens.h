// The image tokens of one image as its prompts change them in the two-way transformer, without ever writing the image tokens
// [C,G] of a prompt: docs/math.md section 1. A few prompt tokens can only add a few rows to each image token, and layer
// normalisation only scales what stands there, so that after both layers, with the image's own tokens X [C,G],
//   X2 = rstd2 N2(rstd1 N1(X + B1' A1) + c + B2' A2) + bias2            N1, N2: gain times centring, both linear
// with attention weights A1, A2 [J,G], added rows B1, B2 [J,C], the constant c (1.13), and the reciprocal standard deviations
// rstd1, rstd2 [1,G] of the layer norms; J = heads * prompt tokens. Every product with X2 splits into one with X, the same for
// all prompts of an image, and small ones with the A. The algebra is exact: the same function. Called by
// model/mask_decoder.cc and model/two_way_transformer.cc.
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

// The weights of the transformer and of the mask decoder that are applied to image tokens.
struct ImageTokenWeights {
  std::int64_t heads;
  CrossAttention token_to_image_1, token_to_image_2, token_to_image_3;  // of layer 1, of layer 2, behind both
  CrossAttention image_to_token_1, image_to_token_2;
  Affine norm1, norm2;  // gain and bias [C] of `norm4` of each layer
  double eps;
  Affine up;  // the first transposed convolution as a product: [4*C/4,C], by pixel of an image token and channel; bias as long
};

// What all prompts of an image share: products of X with weights, by head [H,E,G] unless said otherwise. Named as in
// docs/math.md section 1.9: keyN, valueN and queryN belong to the Nth attention of their direction.
struct ImageMaps {
  at::Tensor key1, value1, query1;  // of X, positions added to keys and queries
  at::Tensor out1, out2, out12;     // added rows against X, for the norms' squared lengths (1.14)
  at::Tensor key2, value2, query2;  // of N1 X
  at::Tensor key3, value3;          // of N2 N1 X
  at::Tensor up;                    // [4*C/4,G], of N2 N1 X
  at::Tensor constant_product, squared_length_1, squared_length_2;  // [G]: of (1.13) and (1.7)

  std::vector<at::Tensor*> all();
};

// The part of the scores that the positions of image tokens give, the same for all images.
struct PositionMaps {
  at::Tensor key2, query2, key3;  // [H,E,G]
};

// images [B,C,G] with the dense prompt added, position [C,G]. Differentiable in everything.
std::vector<ImageMaps> image_maps(const ImageTokenWeights& weights, const at::Tensor& images, const at::Tensor& position);
PositionMaps position_maps(const ImageTokenWeights& weights, const at::Tensor& position);

// The image tokens of N prompts of one image, of t tokens each, in factored form. The five attentions are called in the
// transformer's order, 1 to 1, 2 to 2, 3. q of token to image, k and v of image to token: [N,t,inner], already projected.
class FactoredImageTokens {
 public:
  FactoredImageTokens(const ImageTokenWeights& weights, const ImageMaps& image, const PositionMaps& position)
      : weights_(weights), image_(image), position_(position) {}

  at::Tensor token_to_image_1(const at::Tensor& q);  // -> [N,t,inner], before the output projection; as the next two
  void image_to_token_1(const at::Tensor& k, const at::Tensor& v);
  at::Tensor token_to_image_2(const at::Tensor& q);
  void image_to_token_2(const at::Tensor& k, const at::Tensor& v);
  at::Tensor token_to_image_3(const at::Tensor& q);

  UpscaledImageTokens upscaled() const;  // after the first transposed convolution

 private:
  at::Tensor split_heads(const at::Tensor& x) const;                         // [N,t,H*E] -> [N,H,t,E]
  at::Tensor output_rows(const at::Tensor& v, const Affine& out) const;      // B: [N,H,t,E] -> rows [N,J,C]
  at::Tensor project_rows(const at::Tensor& rows, const Affine& map) const;  // [N,R,C] -> [N,R,H,E]
  // Scores of q [N,H,t,E] with projected rows [N,R,C] -> [N,J,R].
  at::Tensor row_scores(const at::Tensor& q, const Affine& map, const at::Tensor& rows) const;
  // The sum of projected rows with weights [N,J,R] -> [N,H,t,E].
  at::Tensor mix_rows(const at::Tensor& weights, const Affine& map, const at::Tensor& rows) const;
  at::Tensor norm2_linear(const at::Tensor& rows) const;  // N2 applied to rows
  double scale() const;                                   // of scores: 1 / sqrt(E)
  at::Tensor rstd(const at::Tensor& squares) const;  // of layer normalisation, from the squared lengths of centred image tokens

  const ImageTokenWeights& weights_;
  const ImageMaps& image_;
  const PositionMaps& position_;
  // Of layer N, as the formula at the top names them (docs/math.md: v, A, U, r).
  at::Tensor values_1_;                     // [N,H,t,E]: of the prompt tokens in image to token 1
  at::Tensor attention_1_, attention_2_;    // A1, A2 [N,J,G]
  at::Tensor added_rows_1_, added_rows_2_;  // B1 N1', B2 N2' [N,J,C]
  at::Tensor added_rows_12_;                // B1 N1' N2' [N,J,C]
  at::Tensor rstd_1_, rstd_2_;              // [N,1,G]
};

// Rows minus their mean over the last dimension: the linear half of layer normalisation.
at::Tensor centred(const at::Tensor& rows);

}  // namespace cellsam::ops
