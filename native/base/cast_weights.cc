#include "base/cast_weights.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace cellsam {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Tensors of the shapes of `like`, side by side in memory.
std::vector<at::Tensor> side_by_side(at::TensorList like, at::ScalarType type) {
  std::vector<std::int64_t> sizes;
  std::int64_t total = 0;
  for (const auto& tensor : like) total += sizes.emplace_back(tensor.numel());
  auto parts = at::empty({total}, like[0].options().dtype(type).requires_grad(false)).split_with_sizes(sizes);
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = parts[i].view(like[i].sizes());
  return parts;
}

struct Cast : torch::autograd::Function<Cast> {
  static variable_list forward(AutogradContext* context, at::TensorList parameters) {
    context->set_materialize_grads(false);
    auto copies = side_by_side(parameters, at::kBFloat16);
    at::_foreach_copy_(copies, parameters);
    return copies;
  }

  static variable_list backward(AutogradContext* /*context*/, const variable_list& grads) {
    variable_list there;
    for (const auto& grad : grads) {
      if (grad.defined()) there.push_back(grad);
    }
    variable_list wide(grads.size());
    if (there.empty()) return wide;
    const auto cast = side_by_side(there, at::kFloat);
    at::_foreach_copy_(cast, there);
    for (std::size_t i = 0, next = 0; i < grads.size(); ++i) {
      if (grads[i].defined()) wide[i] = cast[next++];
    }
    return wide;
  }
};

thread_local const CastWeights::Copies* here = nullptr;

}  // namespace

CastWeights::CastWeights(const std::vector<at::Tensor>& parameters) : before_(here) {
  if (parameters.empty() || !at::GradMode::is_enabled()) return;
  const auto cast = Cast::apply(at::TensorList(parameters));
  for (std::size_t i = 0; i < parameters.size(); ++i) copies_.emplace(parameters[i].unsafeGetTensorImpl(), cast[i]);
  here = &copies_;
}

CastWeights::~CastWeights() { here = before_; }

at::Tensor weight_of(const at::Tensor& parameter) {
  if (here == nullptr) return parameter;
  const auto found = here->find(parameter.unsafeGetTensorImpl());
  return found == here->end() ? parameter : found->second;
}

}  // namespace cellsam
