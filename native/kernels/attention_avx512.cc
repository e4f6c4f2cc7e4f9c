// The attention kernels for AVX-512: 32 registers hold 3 x 8 sums.
#if defined(__x86_64__)
#define VECTOR_FLOATS 16
#define TILE_ROWS 8
#include "kernels/attention_table.h"

namespace cellsam::kernels::attention {
const Kernels* kernels_avx512() { return &kTable<Fp32>; }
}  // namespace cellsam::kernels::attention
#endif
