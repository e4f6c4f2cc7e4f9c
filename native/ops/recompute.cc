#include "ops/recompute.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace cellsam::ops {
namespace {

using Part = std::function<at::Tensor(const at::Tensor&)>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Autocast as it was in the first pass.
class SameAutocast {
 public:
  SameAutocast(at::DeviceType type, bool enabled, at::ScalarType dtype)
      : type_(type), enabled_(at::autocast::is_autocast_enabled(type)), dtype_(at::autocast::get_autocast_dtype(type)) {
    at::autocast::set_autocast_enabled(type, enabled);
    at::autocast::set_autocast_dtype(type, dtype);
    at::autocast::increment_nesting();
  }
  ~SameAutocast() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(type_, enabled_);
    at::autocast::set_autocast_dtype(type_, dtype_);
  }
  SameAutocast(const SameAutocast&) = delete;
  SameAutocast& operator=(const SameAutocast&) = delete;

 private:
  at::DeviceType type_;
  bool enabled_;
  at::ScalarType dtype_;
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  struct Memo : torch::CustomClassHolder {
    Part part;
    std::vector<at::Tensor> parameters;
    bool autocast = false;
    at::ScalarType dtype = at::kFloat;
  };

  // The parameters stand among the arguments so that autograd sees that the result depends on them.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const c10::intrusive_ptr<Memo>& memo,
                            at::TensorList /*parameters*/) {
    context->save_for_backward({x});
    context->saved_data["memo"] = at::IValue::make_capsule(memo);
    return memo->part(x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto memo = c10::static_intrusive_pointer_cast<Memo>(context->saved_data["memo"].toCapsule());
    const auto saved = context->get_saved_variables()[0];
    const auto x = saved.detach().requires_grad_(context->needs_input_grad(0));
    at::Tensor y;
    {
      const at::AutoGradMode mode(true);
      const SameAutocast autocast(x.device().type(), memo->autocast, memo->dtype);
      y = memo->part(x);
    }
    variable_list asked;
    if (x.requires_grad()) asked.push_back(x);
    for (const auto& parameter : memo->parameters) asked.push_back(parameter);
    auto found = torch::autograd::grad({y}, asked, {grads[0]}, /*retain_graph=*/{}, /*create_graph=*/false,
                                       /*allow_unused=*/true);
    variable_list input_grads(2);
    if (x.requires_grad()) {
      input_grads[0] = found.front();
      found.erase(found.begin());
    }
    input_grads.insert(input_grads.end(), found.begin(), found.end());
    return input_grads;
  }
};

}  // namespace

at::Tensor recompute(const Part& part, const at::Tensor& x, const std::vector<at::Tensor>& parameters) {
  auto memo = c10::make_intrusive<Recomputed::Memo>();
  memo->part = part;
  for (const auto& parameter : parameters) {
    if (parameter.requires_grad()) memo->parameters.push_back(parameter);
  }
  if (!at::GradMode::is_enabled() || (!x.requires_grad() && memo->parameters.empty())) return part(x);
  memo->autocast = at::autocast::is_autocast_enabled(x.device().type());
  memo->dtype = at::autocast::get_autocast_dtype(x.device().type());
  return Recomputed::apply(x, memo, at::TensorList(memo->parameters));
}

}  // namespace cellsam::ops
