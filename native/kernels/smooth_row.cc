#include "kernels/smooth_row.h"

#include "kernels/isa.h"

namespace cellsam::kernels {
namespace loops {

CELLSAM_INLINE void smooth_row(const float* line, float* __restrict to, std::int64_t width, const float* weights,
                               std::int64_t radius) {
  const float middle = weights[0];
  for (std::int64_t x = 0; x < width; ++x) to[x] = middle * line[x];
  for (std::int64_t d = 1; d <= radius; ++d) {
    const float weight = weights[d];
    for (std::int64_t x = 0; x < width; ++x) to[x] += weight * (line[x - d] + line[x + d]);
  }
}

}  // namespace loops

CELLSAM_COPIES(void, smooth_row, (const float* line, float* to, std::int64_t width, const float* weights, std::int64_t radius),
               (line, to, width, weights, radius))

}  // namespace cellsam::kernels
