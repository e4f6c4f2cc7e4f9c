// Colour deconvolution (Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23, 2001): the amounts of haematoxylin, eosin and DAB
// in each pixel of a bright-field image become the channels that the networks expect, nuclei green and the rest blue.
#pragma once

#include <ATen/core/Tensor.h>

#include "settings/pixels.h"

namespace cellsam::data {

struct StainOptions {
  bool inversion = setting::pixels::inversion.default_value;      // 1 - amount: what is stained is dark, as in the source
  double eosin = setting::pixels::eosin.default_value;            // weight of eosin in the blue channel
  double dab = setting::pixels::dab.default_value;                // weight of DAB in the blue channel
  bool only_nuclei = setting::pixels::only_nuclei.default_value;  // leaves the blue channel zero
  double gamma = setting::pixels::gamma.default_value;            // exponent of both channels; above 1 it darkens faint stains
};

// RGB f64 [H,W,3] in 0..255, rounded to integers first -> f64 [H,W,3] of integers in 0..255, for every pixel:
//   (n_H, n_E, n_D) = max(0, (ln max(rgb / 255, 1e-6) / ln 1e-6) M)       as scikit-image's rgb2hed
//   M = inverse of the rows H (.65 .70 .29), E (.07 .99 .11), D (.27 .57 .78)
//   n = (n - min n) / (max n - min n) over the image, for each stain (clipped to 0..1 if it is constant); 1 - n with inversion
//   red = 0, green = trunc(255 n_H^gamma), blue = trunc(255 clip(eosin n_E + dab n_D, 0, 1)^gamma)
// Call it with the whole source image, whose extremes set the contrast.
at::Tensor separate_stains(const at::Tensor& image, const StainOptions& options);

}  // namespace cellsam::data
