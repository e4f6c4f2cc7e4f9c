// The attention kernels for AVX-512 with bfloat16 products, two terms to a lane and instruction.
#if defined(__x86_64__)
#define VECTOR_FLOATS 16
#define TILE_ROWS 8
#include "kernels/attention_table.h"

namespace cellsam::kernels::attention {
const Kernels* kernels_avx512_bf16() { return &kTable<Bf16>; }
}  // namespace cellsam::kernels::attention
#endif
