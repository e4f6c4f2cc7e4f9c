// One prompt's mask loss on the CPU, from low-resolution logits to its gradient in them, row by row of the tile. The same
// source, mask_rows.h, is compiled for each instruction set; the plain structs here are all that passes between.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/axis_taps.h"
#include "kernels/isa.h"

namespace cellsam::kernels {

template <class Number>
struct MaskTask {
  const Number* logits;        // [rows.in,columns.in]
  const std::int32_t* labels;  // [rows.out,columns.out]
  std::int32_t id;             // the target is where the label equals it
  bool present;                // false: the target is empty
  bool ignores;                // pixels labelled `ignored` are left out
  std::int32_t ignored;
  AxisView<Number> rows, columns;

  // Weights with the division by the pixels that count in them. A focal gamma of 2 is faster than others.
  Number focal_target, focal_other;  // of a pixel of the target, of another one
  Number focal_gamma;
  Number boundary;  // 0: left out
  Number dice;      // 0: left out
  double dice_smooth;
  bool overlap;  // count the pixels whose logit is above `threshold`
  Number threshold;
  Number* gradient;  // [rows.in,columns.in], of focal + dice + boundary; null: not wanted
};

// Weighted like the task. All of them, and the whole gradient, are NaN when a logit that is used is not finite.
struct MaskSums {
  double focal, dice, boundary;
  std::int64_t truth, predicted, shared;  // pixels of the target, above the threshold (0 unless `overlap`), and in both
};

template <class Number>
struct MaskKernel {
  std::size_t (*memory)(const MaskTask<Number>& task);               // bytes that `run` needs
  MaskSums (*run)(const MaskTask<Number>& task, std::byte* memory);  // memory at a multiple of 64
};

// The kernel for `isa`, or for the best one below it that is compiled in. float64 has the portable one alone.
template <class Number>
MaskKernel<Number> mask_kernel(Isa isa);

// One per file mask_kernel_*.cc.
template <class Number>
MaskKernel<Number> portable_mask_kernel();
MaskKernel<float> avx2_mask_kernel();
MaskKernel<float> avx512_mask_kernel();

}  // namespace cellsam::kernels
