// The mask losses as three kernels; what they compute stands in mask_losses.h, phase by phase.
#include <cuda_runtime.h>

#include "cuda/can_run.h"
#include "cuda/launch.h"
#include "cuda/mask_losses.h"

namespace cellsam::cuda {
namespace {

__global__ void __launch_bounds__(kMaskThreads) sum_tiles(const MaskLossArguments a) {
  extern __shared__ float memory[];
  const int block = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const auto tile = tile_in(memory, a.max_pixels);
  const auto region = region_of(a, block);
  load_pixels(a, region, tile, thread);
  __syncthreads();
  if (a.weights.boundary != 0) {
    find_edges(a, region, tile, thread);
    __syncthreads();
  }
  add_pixels(a, region, tile, thread);
  __syncthreads();
  if (a.gradient) gather_adjoints(a, region, tile, thread);
  for (int half = kMaskThreads / 2; half > 0; half /= 2) {
    fold_sums(tile, half, thread);
    __syncthreads();
  }
  store_sums(a, tile, block, thread);
}

__global__ void finish(const MaskLossArguments a) {
  __shared__ double lanes[kMaskSums * kMaskLanes];
  add_tiles(a, lanes, static_cast<int>(blockIdx.x), static_cast<int>(threadIdx.x));
  __syncthreads();
  if (threadIdx.x == 0) finish_prompt(a, lanes, static_cast<int>(blockIdx.x));
}

__global__ void combine(const MaskLossArguments a, std::size_t low_pixels) {
  const auto low_pixel = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (low_pixel < low_pixels) combine_adjoints(a, low_pixel);
}

}  // namespace

bool can_run_mask_losses() { return can_run(sum_tiles) && can_run(finish) && can_run(combine); }

void launch_mask_losses(const MaskLossArguments& a, void* stream) {
  auto* on = static_cast<cudaStream_t>(stream);
  const auto blocks = static_cast<unsigned>(a.prompts * a.tiles_down * a.tiles_across);
  sum_tiles<<<blocks, kMaskThreads, mask_shared_bytes(a.max_pixels), on>>>(a);
  finish<<<static_cast<unsigned>(a.prompts), kMaskSums * kMaskLanes, 0, on>>>(a);
  if (!a.gradient) return;
  const auto low_pixels = static_cast<std::size_t>(a.prompts) * a.rows.low * a.columns.low;
  combine<<<static_cast<unsigned>((low_pixels + kMaskThreads - 1) / kMaskThreads), kMaskThreads, 0, on>>>(a, low_pixels);
}

}  // namespace cellsam::cuda
