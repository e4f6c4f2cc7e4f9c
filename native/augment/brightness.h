// Brightness and contrast of a tile.
#pragma once

#include "augment/augmentations.h"

namespace cellsam::augment {

// A value v becomes (1 + contrast) v + 255 * brightness.
struct Brightness {
  double contrast = 0;
  double brightness = 0;
};

// Both uniform in -0.1..0.1.
Brightness draw_brightness(CounterRng& rng);

// Changes the image only, rounded and clipped to 0..255. Padding stays 0. So does a channel that is 0 everywhere, such as those
// that an image of fewer channels leaves empty: the networks would see light where there is none.
Pixels apply(const Brightness& change, const Pixels& pixels);

// With probability 0.6.
Pixels brightness(const Pixels& pixels, CounterRng& rng);

}  // namespace cellsam::augment
