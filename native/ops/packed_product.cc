#include "ops/packed_product.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "kernels/isa.h"

namespace cellsam::ops {
namespace {

using Operator = std::optional<c10::OperatorHandle>;

const Operator& reorder() {
  static const Operator found = c10::Dispatcher::singleton().findSchema({"mkldnn::_reorder_linear_weight", ""});
  return found;
}

const Operator& product() {
  static const Operator found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  return found;
}

// Boxed, as the C++ types of their arguments are no promise of libtorch.
at::Tensor call(const c10::OperatorHandle& called, torch::jit::Stack arguments) {
  called.callBoxed(arguments);
  return arguments.at(0).toTensor();
}

}  // namespace

bool can_pack(const at::Tensor& weight, at::ScalarType type) {
  return kernels::isa() == kernels::Isa::avx512 && weight.is_cpu() && (type == at::kFloat || type == at::kBFloat16) &&
         at::globalContext().userEnabledMkldnn() && at::globalContext().hasMKLDNN() && reorder() && product();
}

// Without the number of rows that will come, the layout, and with it every bit, is the same for all of them.
at::Tensor pack(const at::Tensor& weight) { return call(*reorder(), {weight, at::IValue()}); }

at::Tensor packed_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, bool gelu) {
  const c10::impl::GenericList none(c10::getTypePtr<std::optional<at::Scalar>>());
  return call(*product(), {x, weight, bias, gelu ? "gelu" : "none", none, gelu ? at::IValue("none") : at::IValue()});
}

}  // namespace cellsam::ops
