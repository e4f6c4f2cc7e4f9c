// Scaling, shearing and shifting a tile about its centre.
#pragma once

#include "augment/augmentations.h"

namespace cellsam::augment {

// Moves a pixel at offset d = (y, x) from the tile's centre to A d + shift with
//   A = [[1, tan shear_y], [tan shear_x, 1]] * diag(scale_y, scale_x)
struct Affine {
  double scale_y = 1, scale_x = 1;
  double shear_y = 0, shear_x = 0;  // degrees
  double shift_y = 0, shift_x = 0;  // fractions of the tile's height and width
};

// Every number is uniform and independent: scale in 0.85..1.15, shear in -5..5 degrees, shift in -0.08..0.08. No rotation.
Affine draw_affine(CounterRng& rng);

// See warp.h; 0 where the source has no pixel.
Pixels apply(const Affine& affine, const Pixels& pixels);

// With probability 0.75.
Pixels affine(const Pixels& pixels, CounterRng& rng);

}  // namespace cellsam::augment
