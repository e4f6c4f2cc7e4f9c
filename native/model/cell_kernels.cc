#include "model/cell_kernels.h"

#include "model/cell_kernels_isa.h"

namespace cellsam::model {

const CellKernels& cell_kernels() {
#if defined(__x86_64__)
  static const CellKernels& best =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
          ? cell_kernels_avx512()
      : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? cell_kernels_avx2()
                                                                        : cell_kernels_portable();
  return best;
#else
  return cell_kernels_portable();
#endif
}

}  // namespace cellsam::model
