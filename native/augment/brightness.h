// Brightness and contrast of a tile.
#pragma once

#include "augment/augment.h"

namespace cellsam::augment {

struct Brightness {
  double contrast = 0;    // values are multiplied by 1 + contrast
  double brightness = 0;  // then this share of 255 is added
};

// Both uniform in -0.1..0.1.
Brightness draw_brightness(CounterRng& rng);

// Changes the image only: rounded and clipped to 0..255. Padding stays 0, and so does a channel that is 0 everywhere (such as
// the ones that an image with fewer channels leaves empty), or the networks would see light where there is nothing.
Pixels apply(const Brightness& brightness, const Pixels& pixels);

}  // namespace cellsam::augment
