// Contrast-limited adaptive histogram equalisation as scikit-image's equalize_adapthist computes it (Zuiderveld, Graphics
// Gems IV, 1994), with CellSAM's fixed settings: contextual regions of 128x128, clip limit 0.01, 256 bins.
#pragma once

#include <cstdint>

namespace cellsam::data {

// Equalises one channel in place: `pixels` [height,width] in 0..1, row-major, of any size from 1x1 up. The result spans 0..1.
void equalize_adaptive(double* pixels, std::int64_t height, std::int64_t width);

}  // namespace cellsam::data
