// Elastic deformation (Simard, Steinkraus and Platt, ICDAR 2003): every pixel moves by a smooth random displacement.
#pragma once

#include <cstdint>
#include <vector>

#include "augment/augmentations.h"

namespace cellsam::augment {

// Pixel i = y * width + x of the result shows the source at (y + down[i], x + right[i]).
struct Displacement {
  std::vector<float> down, right;  // pixels, [H*W] each
};

// White noise of variance 1 for each pixel and axis, smoothed with sigma = 8.4 pixels and multiplied by 120: away from the
// tile's edges the displacement has a standard deviation of about 4 pixels.
Displacement draw_displacement(std::int64_t height, std::int64_t width, CounterRng& rng);

// Gaussian smoothing of `plane` [height,width] in place, as scipy.ndimage.gaussian_filter in its default mode: weights
// exp(-d^2 / 2 sigma^2) up to d = round(4 sigma), normalised; at its edges the plane is mirrored, the edge pixel included.
void smooth(std::vector<float>& plane, std::int64_t height, std::int64_t width, double sigma);

// See warp.h; 0 where the source has no pixel.
Pixels apply(const Displacement& displacement, const Pixels& pixels);

// With probability 0.4.
Pixels elastic(const Pixels& pixels, CounterRng& rng);

}  // namespace cellsam::augment
