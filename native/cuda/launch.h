// What the files that nvcc compiles offer to the ones that know tensors. Neither sees the other's headers: nvcc takes a second
// for such a file, and 20 s for one with torch in it. `stream` is a cudaStream_t; a failed launch is the caller's to ask for.
#pragma once

#include <cstddef>

namespace cellsam::cuda {

struct MaskLossArguments;
bool can_run_mask_losses();  // on the current device
void launch_mask_losses(const MaskLossArguments& arguments, void* stream);

struct RowColumnArguments;
// Once for each device, before the first launch there: the bytes of shared memory that a block may have on the current device;
// 0 where it cannot run the kernels.
std::size_t prepare_row_column();
void launch_row_column(const RowColumnArguments& arguments, void* stream);
void launch_row_column_backward(const RowColumnArguments& arguments, void* stream);

}  // namespace cellsam::cuda
