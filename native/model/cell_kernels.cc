#include "model/cell_kernels.h"

#include "base/isa.h"
#include "model/cell_kernels_isa.h"

namespace cellsam::model {

const CellKernels& cell_kernels() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return cell_kernels_avx512();
  if (isa() == Isa::avx2) return cell_kernels_avx2();
#endif
  return cell_kernels_portable();
}

}  // namespace cellsam::model
