// The mask decoder's inner loops for AVX-512. Compiled with the flags that CMakeLists.txt gives it on x86-64 only.
#if defined(__x86_64__)

#include "model/cell_kernels_body.h"
#include "model/cell_kernels_isa.h"

namespace cellsam::model {

const CellKernels& cell_kernels_avx512() { return kKernels; }

}  // namespace cellsam::model

#endif
