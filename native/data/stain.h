// Colour deconvolution (Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23, 2001): how much haematoxylin, eosin and DAB each
// pixel of a bright-field image holds, as the channels of the image that the networks see: nuclei green, the others blue.
#pragma once

#include <ATen/core/Tensor.h>

#include "settings/pixels.h"

namespace cellsam::data {

struct StainOptions {
  bool inversion = setting::pixels::inversion.default_value;      // 1 - amount: stained is dark, as in the source
  double eosin = setting::pixels::eosin.default_value;            // share of eosin in the blue channel
  double dab = setting::pixels::dab.default_value;                // share of DAB in the blue channel
  bool only_nuclei = setting::pixels::only_nuclei.default_value;  // the blue channel stays zero
  double gamma = setting::pixels::gamma.default_value;            // exponent of both channels; above 1 darkens faint stains
};

// f64 [H,W,3] RGB in 0..255, rounded to whole levels first -> f64 [H,W,3] of whole levels 0..255; the argument is left alone.
// The amounts (H, E, D) are max(0, (ln max(rgb / 255, 1e-6) / ln 1e-6) · M), M the inverse of the rows H (.65 .70 .29),
// E (.07 .99 .11), D (.27 .57 .78): scikit-image's rgb2hed. Each amount n is scaled to 0..1 by its own minimum and maximum in
// this image (an even one is only clipped to 0..1), then inverted if asked. Red is 0, green trunc(255 n_H^gamma),
// blue trunc(255 clip(eosin n_E + dab n_D, 0, 1)^gamma). Give the whole source image: its extremes set the contrast.
at::Tensor separate_stains(const at::Tensor& image, const StainOptions& options);

}  // namespace cellsam::data
