// The mask decoder's inner loops for every machine.
#include "model/cell_kernels_body.h"
#include "model/cell_kernels_isa.h"

namespace cellsam::model {

const CellKernels& cell_kernels_portable() { return kKernels; }

}  // namespace cellsam::model
