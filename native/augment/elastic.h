// Elastic deformation (Simard, Steinkraus and Platt, ICDAR 2003): every pixel moves by a smooth random displacement.
#pragma once

#include <cstdint>
#include <vector>

#include "augment/augment.h"

namespace cellsam::augment {

// Where pixel i = y * width + x of the result comes from: (y + down[i], x + right[i]).
struct Displacement {
  std::vector<float> down, right;  // pixels, [H*W] each
};

// Standard normal noise per pixel and axis, smoothed with sigma 8.4 pixels, times 120: moves of about 4 pixels (one standard
// deviation) away from the tile's edge.
Displacement draw_displacement(std::int64_t height, std::int64_t width, CounterRng& rng);

// Gaussian smoothing of `plane` [height,width] in place: weights exp(-d²/2σ²) up to d = round(4σ), normalised; the plane is
// mirrored at its edges (the edge pixel twice), any size from 1 up. SciPy's gaussian_filter in its default mode.
void smooth(std::vector<float>& plane, std::int64_t height, std::int64_t width, double sigma);

// Image, labels and valid pixels under the same geometry (warp.h); 0 where the source has nothing.
Pixels apply(const Displacement& displacement, const Pixels& pixels);

}  // namespace cellsam::augment
