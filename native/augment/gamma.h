// Gamma of each channel of a tile.
#pragma once

#include <array>

#include "augment/augmentations.h"

namespace cellsam::augment {

// A value v of channel c becomes 255 (v / 255)^of_channel[c]. In bright-field images, where light falls off exponentially with
// the amount of stain (Lambert and Beer), this multiplies the optical density of the channel, as another staining would;
// colours of stain vary between slides more than anything else (Tellez et al., Medical Image Analysis 58, 2019).
struct Gamma {
  std::array<double, 3> of_channel = {1, 1, 1};
};

// The logarithm of each is uniform in -0.3..0.3.
Gamma draw_gamma(CounterRng& rng);

// Changes the image only, rounded. 0 and 255 stay, and so do padding and empty channels. A grey image, whose channels are equal
// but for those that are 0 everywhere, stays grey: all its channels get that of channel 0.
Pixels apply(const Gamma& gamma, const Pixels& pixels);

// With probability 0.6.
Pixels gamma(const Pixels& pixels, CounterRng& rng);

}  // namespace cellsam::augment
