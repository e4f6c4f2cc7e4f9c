// The attention kernels for AVX2 with FMA: 16 registers hold 3 x 4 sums. Compiled with those instructions on, so it may only be
// entered through its table.
#if defined(__x86_64__)
#define VECTOR_FLOATS 8
#define TILE_ROWS 4
#include "kernels/attention_table.h"

namespace cellsam::kernels::attention {
const Kernels* kernels_avx2() { return &kTable<Fp32>; }
}  // namespace cellsam::kernels::attention
#endif
