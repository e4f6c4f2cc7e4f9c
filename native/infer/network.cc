#include "infer/network.h"

#include <string>

#include <ATen/ATen.h>

#include "engine.h"

namespace cellsam::infer {

void for_each(const Each& each, std::int64_t count, const std::function<void(std::int64_t)>& body) {
  if (each) return each(count, body);
  for (std::int64_t i = 0; i < count; ++i) body(i);
}

void stop_if(const Cancelled& cancelled) {
  if (cancelled && cancelled()) throw Error("ERR_CANCELLED", "inference was cancelled");
}

void check_image(const at::Tensor& image) {
  if (image.dim() == 3 && image.size(0) == 3 && image.numel() > 0 && image.is_cpu() &&
      (image.scalar_type() == at::kByte || image.is_floating_point())) {
    return;
  }
  throw Error("ERR_INVALID_ARGUMENT",
              "inference: the image must be u8 or float of shape [3,H,W] with at least one pixel, on the CPU");
}

void require_finite(const at::Tensor& values, const char* what) {
  if (values.isfinite().all().item<bool>()) return;
  throw Error("ERR_NON_FINITE", std::string("inference: the network returned NaN or infinity as ") + what +
                                    "; the weights are damaged, or bf16 is too coarse for them (try precision fp32)");
}

at::Device device_of(model::CellSam& model) { return model->mask_model()->prompt_encoder->parameters().front().device(); }

at::Tensor model_scale(const at::Tensor& image, std::int64_t image_size) {
  const double x = static_cast<double>(image_size) / static_cast<double>(image.size(-1));
  const double y = static_cast<double>(image_size) / static_cast<double>(image.size(-2));
  return at::tensor({x, y, x, y}, at::kDouble);
}

}  // namespace cellsam::infer
