#include "ops/frozen_linear.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include "base/autocast.h"
#include "base/cast_weights.h"
#include "ops/epilogues.h"
#include "ops/packed_product.h"

namespace cellsam::ops {
namespace {

constexpr std::int64_t kFewRows = 256;  // below, packing gains nothing

bool is_frozen(const at::Tensor& x) { return x.scalar_type() == at::kFloat && !x.requires_grad() && !x.is_inference(); }

}  // namespace

at::Tensor FrozenLinear::forward(torch::nn::LinearImpl& layer, const at::Tensor& x, bool gelu) {
  const auto& weight = layer.weight;
  const bool bf16 = bf16_autocast(weight.device().type());
  const auto type = bf16 ? at::kBFloat16 : x.scalar_type();
  const bool watched = at::hasThreadLocalCallbacks();  // a watcher knows the layer by its own weight
  const bool frozen = is_frozen(weight) && is_frozen(layer.bias) && !watched;
  const bool packed = frozen && fused_epilogues().on() && !(at::GradMode::is_enabled() && x.requires_grad()) && x.is_cpu() &&
                      x.numel() / x.size(-1) >= kFewRows && can_pack(weight, type);
  if (packed) {
    const auto copy = copy_of(layer, type, /*packed=*/true);
    return packed_linear(x.to(type).contiguous(), copy.weight, copy.bias, gelu);
  }
  at::Tensor out;
  if (frozen && bf16) {
    const auto copy = copy_of(layer, type, /*packed=*/false);
    out = at::linear(x, copy.weight, copy.bias);
  } else {
    // Not layer.forward, which adds the bias by itself and rounds once more.
    out = at::linear(x, weight_of(weight), weight_of(layer.bias));
  }
  return gelu ? at::gelu(out) : out;
}

FrozenLinear::Copy FrozenLinear::copy_of(const torch::nn::LinearImpl& layer, at::ScalarType type, bool packed) {
  const std::lock_guard lock(mutex_);
  const auto version = static_cast<std::uint32_t>(layer.weight._version() + layer.bias._version());  // each only ever rises
  if (copy_.source != layer.weight.const_data_ptr() || copy_.version != version || copy_.packed != packed ||
      copy_.weight.scalar_type() != type) {
    const auto weight = layer.weight.detach().to(type);
    copy_ = {layer.weight.const_data_ptr(), version, packed, packed ? pack(weight) : weight, layer.bias.detach().to(type)};
  }
  return copy_;
}

}  // namespace cellsam::ops
