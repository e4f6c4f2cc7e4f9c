// What the files that nvcc compiles offer to the ones that know tensors. Neither sees the other's headers: nvcc takes a second
// for such a file, and 20 s for one with torch in it. `stream` is a cudaStream_t; a failed launch is the caller's to ask for.
#pragma once

namespace cellsam::cuda {

struct MaskLossArguments;
void launch_mask_losses(const MaskLossArguments& arguments, void* stream);

struct RowColumnArguments;
void launch_row_column(const RowColumnArguments& arguments, void* stream);
void launch_row_column_backward(const RowColumnArguments& arguments, void* stream);

}  // namespace cellsam::cuda
