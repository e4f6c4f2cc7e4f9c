// The lane kernels for AVX-512: 32 registers hold 3 x 8 sums.
#if defined(__x86_64__)
#define LANES 16
#define LANE_TILE 8
#include "kernels/attention_table.h"

namespace cellsam::kernels::lanes {
const Kernels& avx512_kernels() { return kTable<Floats>; }
}  // namespace cellsam::kernels::lanes
#endif
