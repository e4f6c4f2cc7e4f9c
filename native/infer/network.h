// What detection and mask prediction share: checks of the networks' inputs and outputs, cancellation, device and scale.
#pragma once

#include <functional>

#include <ATen/core/Tensor.h>

#include "model/cellsam.h"

namespace cellsam::infer {

// Called between the steps of a long inference. Returns whether it should end.
using Cancelled = std::function<bool()>;

// Throws ERR_CANCELLED if `cancelled` returns true.
void stop_if(const Cancelled& cancelled);

// Throws ERR_INVALID_ARGUMENT unless `image` is u8 or float [3,H,W] with at least one pixel, on the CPU.
void check_image(const at::Tensor& image);

// Throws ERR_NON_FINITE, naming `what`, if any value is NaN or infinite: otherwise damaged weights would find no cells.
void require_finite(const at::Tensor& values, const char* what);

at::Device device_of(model::CellSam& model);

// The factors f64 [4] that take (x1, y1, x2, y2) from pixels of an image or tile [...,H,W] to pixels of the model's input.
at::Tensor model_scale(const at::Tensor& image, std::int64_t image_size);

}  // namespace cellsam::infer
