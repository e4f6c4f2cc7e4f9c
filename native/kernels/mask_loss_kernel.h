// The mask loss of one prompt on the CPU, from low-resolution logits z [h,w] to its gradient in them: docs/math.md section 2.
//   loss = focal (2.4) + dice (2.5) + boundary (2.6) of Z = Ry z Rx^T [H,W] against (labels == id)
// One sweep over the rows of the tile; nothing of the tile's size is stored. mask_loss_rows.h is the sweep, compiled for
// AVX-512, AVX2 and one pixel at a time; what passes between these files is the plain structs here. Called by
// loss/fused_mask_loss_cpu.cc, a prompt a call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/axis_taps.h"
#include "kernels/isa.h"

namespace cellsam::kernels {

template <class Number>
struct MaskTask {
  const Number* logits;        // z [rows.in,columns.in]
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
  std::int64_t target_pixels, mask_pixels,
      overlap_pixels;  // above the threshold and in both: 0 unless `overlap`
};

template <class Number>
struct MaskKernel {
  std::size_t (*memory)(const MaskTask<Number>& task);               // bytes that `run` needs
  MaskSums (*run)(const MaskTask<Number>& task, std::byte* memory);  // memory at a multiple of 64
};

// The kernel for `isa`, or for the best one below it that is compiled in. float64 has the portable one alone.
template <class Number>
MaskKernel<Number> mask_kernel(Isa isa);

// One for each file mask_loss_kernel_<set>.cc.
template <class Number>
MaskKernel<Number> mask_kernel_portable();
MaskKernel<float> mask_kernel_avx2();
MaskKernel<float> mask_kernel_avx512();

}  // namespace cellsam::kernels
