// What detection and mask prediction share: checks of the networks' inputs and outputs, cancellation, device and scale.
#pragma once

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "model/cellsam.h"

namespace cellsam::infer {

// Called between the steps of a long inference. Returns whether it should end.
using Cancelled = std::function<bool()>;

// Calls body(0) to body(count - 1): in this order, or several at a time on threads of the caller of an inference, who gives the
// way by which it goes through the tiles of an image.
using Each = std::function<void(std::int64_t count, const std::function<void(std::int64_t)>& body)>;

// Calls each(count, body), or the bodies one after another if `each` is empty.
void for_each(const Each& each, std::int64_t count, const std::function<void(std::int64_t)>& body);

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
