// Commands that only compute, for `cellsam bench`, which takes the time of a call.
#include "engine/model_session.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "base/stop_if_abandoned.h"

namespace cellsam::engine {
namespace {

std::int64_t positive(Options& options, const char* name) {
  const auto value = options.require_integer(name);
  if (value < 1) throw Error("ERR_INVALID_ARGUMENT", std::string(name) + " must be at least 1");
  return value;
}

// Normal deviates: the clock of a GPU depends on the numbers that it computes with.
at::Tensor noise(at::IntArrayRef sizes, std::uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn(sizes, generator);
}

// Calls compute() `repeats` times and waits for the last result, of which it returns the mean absolute value.
template <class Compute>
Value repeat(std::int64_t repeats, const Control& control, Compute compute) {
  at::Tensor last;
  for (std::int64_t i = 0; i < repeats; ++i) {
    stop_if_abandoned(control);
    if (control.cancelled()) throw Error("ERR_CANCELLED", "the measurement was cancelled");
    last = compute();
  }
  return Dict{{"mean", last.to(at::kFloat).abs().mean().item<double>()}};
}

}  // namespace

Value ModelSession::encode(Options& options, Control& control) {
  const auto batch = positive(options, "batch_size"), repeats = positive(options, "repeats");
  options.done();
  at::NoGradGuard no_grad;
  device::Autocast autocast(device_, precision_);
  const auto side = model_->size().image_size;
  const auto images = noise({batch, 3, side, side}, seed_).to(device_);
  auto& encoder = model_->mask_model()->image_encoder;
  return repeat(repeats, control, [&] { return encoder->forward(images); });
}

Value ModelSession::multiply(Options& options, Control& control) {
  const auto side = positive(options, "side"), repeats = positive(options, "repeats");
  options.done();
  at::NoGradGuard no_grad;
  const auto type = precision_ == device::Precision::bf16 ? at::kBFloat16 : at::kFloat;
  const auto a = noise({side, side}, seed_).to(device_, type);
  auto product = at::empty_like(a);
  return repeat(repeats, control, [&] { return at::mm_out(product, a, a); });
}

}  // namespace cellsam::engine
