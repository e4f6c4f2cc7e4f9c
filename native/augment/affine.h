// Scaling, shearing and shifting a tile about its centre.
#pragma once

#include <array>

#include "augment/augment.h"

namespace cellsam::augment {

// A pixel at offset d = (y, x) from the tile's centre moves to A d + shift, A = [[1, tan shear_y], [tan shear_x, 1]] ·
// diag(scale_y, scale_x): scaled first, then sheared, then shifted.
struct Affine {
  double scale_y = 1, scale_x = 1;
  double shear_y = 0, shear_x = 0;  // degrees: how far rows (columns) lean with the other axis
  double shift_y = 0, shift_x = 0;  // shares of the tile's height and width
};

// Each axis alone and uniform: scale 0.85..1.15, shear -5..5 degrees, shift -0.08..0.08. No rotation.
Affine draw_affine(CounterRng& rng);

// Image, labels and valid pixels under the same geometry (warp.h); 0 where the source has nothing.
Pixels apply(const Affine& affine, const Pixels& pixels);

}  // namespace cellsam::augment
