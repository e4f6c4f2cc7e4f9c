// What goes into and comes out of the networks at inference, checked: the part that detecting and prompting share.
#pragma once

#include <functional>

#include <ATen/core/Tensor.h>

#include "model/cellsam.h"

namespace cellsam::infer {

// Asked between the steps of a long inference; true ends it with ERR_CANCELLED.
using Cancelled = std::function<bool()>;

void stop_if(const Cancelled& cancelled);

// Throws ERR_INVALID_ARGUMENT unless `image` is u8 or float [3,H,W] with at least one pixel.
void check_image(const at::Tensor& image);

// Throws ERR_NON_FINITE that names `what` if any value is NaN or infinite: damaged weights must not look like an empty image.
void require_finite(const at::Tensor& values, const char* what);

at::Device device_of(model::CellSam& model);

// Factors from pixels of `image` [3,H,W] to pixels of the model's input for (x1, y1, x2, y2): f64 [4].
at::Tensor model_scale(const at::Tensor& image, std::int64_t image_size);

}  // namespace cellsam::infer
