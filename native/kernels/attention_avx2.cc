// The lane kernels for AVX2 with FMA: 16 registers hold 3 x 4 sums. Compiled with those instructions on, so it may only be
// entered through its table.
#if defined(__x86_64__)
#define LANES 8
#define LANE_TILE 4
#include "kernels/attention_table.h"

namespace cellsam::kernels::lanes {
const Kernels& avx2_kernels() { return kTable<Floats>; }
}  // namespace cellsam::kernels::lanes
#endif
