// The lane kernels for AVX-512 with bfloat16 products, two terms to a lane and instruction.
#if defined(__x86_64__)
#define LANES 16
#define LANE_TILE 8
#include "kernels/attention_table.h"

namespace cellsam::kernels::lanes {
const Kernels& avx512_bf16_kernels() { return kTable<Pairs>; }
}  // namespace cellsam::kernels::lanes
#endif
