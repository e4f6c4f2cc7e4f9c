#include "ops/epilogues.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "base/autocast.h"
#include "base/parallel.h"
#include "kernels/norm_rows.h"

namespace cellsam::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Of one task: gradients of weight and bias are summed per task, whatever the number of threads.
constexpr std::int64_t kRows = 64;

bool can_norm(const at::Tensor& x, const torch::nn::LayerNormImpl& norm) {
  return may_fuse_epilogues(x) && x.scalar_type() == at::kFloat && x.numel() > 0 && norm.weight.scalar_type() == at::kFloat;
}

bool can_add(const at::Tensor& x, const at::Tensor& delta) {
  const auto type = delta.scalar_type();
  return may_fuse_epilogues(x) && x.scalar_type() == at::kFloat && (type == at::kFloat || type == at::kBFloat16) &&
         x.numel() > 0 && delta.sizes() == x.sizes();
}

// Row `row` of a dense float32 or bfloat16 tensor.
const float* floats(const at::Tensor& x, std::int64_t row) { return x.const_data_ptr<float>() + row * x.size(-1); }
float* mutable_floats(const at::Tensor& x, std::int64_t row) { return x.mutable_data_ptr<float>() + row * x.size(-1); }
const std::uint16_t* bf16s(const at::Tensor& x, std::int64_t row) {
  return reinterpret_cast<const std::uint16_t*>(x.const_data_ptr<at::BFloat16>()) + row * x.size(-1);
}
std::uint16_t* mutable_bf16s(const at::Tensor& x, std::int64_t row) {
  return reinterpret_cast<std::uint16_t*>(x.mutable_data_ptr<at::BFloat16>()) + row * x.size(-1);
}
bool is_bf16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

template <class Body>
void for_rows(const at::Tensor& x, const Body& body) {
  const auto rows = x.numel() / x.size(-1);
  parallel_for(0, (rows + kRows - 1) / kRows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto task = begin; task < end; ++task) body(task, task * kRows, std::min(rows, (task + 1) * kRows));
  });
}

void add_into(const at::Tensor& x, const at::Tensor& delta, std::int64_t row, const at::Tensor& sum) {
  if (is_bf16(delta)) {
    kernels::add_row(floats(x, row), bf16s(delta, row), x.size(-1), mutable_floats(sum, row));
  } else {
    kernels::add_row(floats(x, row), floats(delta, row), x.size(-1), mutable_floats(sum, row));
  }
}

struct AddNorm : torch::autograd::Function<AddNorm> {
  // {norm, sum}, or {norm} alone; delta may be undefined.
  static variable_list forward(AutogradContext* context, const at::Tensor& given, const std::optional<at::Tensor>& given_delta,
                               const at::Tensor& given_weight, const at::Tensor& given_bias, double eps, bool wants_bf16,
                               bool wants_sum) {
    const auto x = given.contiguous(), weight = given_weight.contiguous(), bias = given_bias.contiguous();
    const auto delta = given_delta ? given_delta->contiguous() : at::Tensor();
    const auto sum = delta.defined() ? at::empty_like(x) : x;
    const auto norm = at::empty(x.sizes(), x.options().dtype(wants_bf16 ? at::kBFloat16 : at::kFloat));
    const auto moments = at::empty({x.numel() / x.size(-1), 2}, x.options());
    for_rows(x, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      const auto n = x.size(-1);
      for (auto row = begin; row < end; ++row) {
        if (delta.defined()) add_into(x, delta, row, sum);
        const auto* from = floats(sum, row);
        const auto found = kernels::moments_of_row(from, n, static_cast<float>(eps));
        mutable_floats(moments, row)[0] = found.mean, mutable_floats(moments, row)[1] = found.rstd;
        if (is_bf16(norm)) {
          kernels::normalize_row(from, n, found, weight.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                                 mutable_bf16s(norm, row));
        } else {
          kernels::normalize_row(from, n, found, weight.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                                 mutable_floats(norm, row));
        }
      }
    });
    context->save_for_backward({sum, moments, weight});
    context->saved_data["adds"] = delta.defined();
    context->saved_data["bf16"] = delta.defined() && is_bf16(delta);
    if (wants_sum) return {norm, sum};
    return {norm};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &moments = saved[1], &weight = saved[2];
    const bool adds = context->saved_data["adds"].toBool(), bf16 = context->saved_data["bf16"].toBool();
    const std::size_t at_weight = adds ? 2 : 1;  // among the inputs that there are
    const bool trains_norm = context->needs_input_grad(at_weight) || context->needs_input_grad(at_weight + 1);
    const auto n = x.size(-1);
    const auto grad = grads[0].contiguous();
    const auto residual_grad = grads.size() > 1 && grads[1].defined() ? grads[1].contiguous() : at::Tensor();
    const auto x_grad = at::empty_like(x);
    const auto delta_grad = bf16 ? at::empty(x.sizes(), x.options().dtype(at::kBFloat16)) : at::Tensor();
    const auto tasks = (x.numel() / n + kRows - 1) / kRows;
    const auto sums = trains_norm ? at::zeros({tasks, 2, n}, x.options()) : at::Tensor();
    for_rows(x, [&](std::int64_t task, std::int64_t begin, std::int64_t end) {
      const auto wide = is_bf16(grad) ? at::empty({n}, x.options()) : at::Tensor();
      float* weight_grad = trains_norm ? sums.mutable_data_ptr<float>() + task * 2 * n : nullptr;
      for (auto row = begin; row < end; ++row) {
        const float* of_norm = is_bf16(grad) ? wide.const_data_ptr<float>() : floats(grad, row);
        if (is_bf16(grad)) kernels::bf16_to_float_row(bf16s(grad, row), n, mutable_floats(wide, 0));
        kernels::normalize_row_backward(floats(x, row), of_norm, residual_grad.defined() ? floats(residual_grad, row) : nullptr,
                                        n, {floats(moments, row)[0], floats(moments, row)[1]}, weight.const_data_ptr<float>(),
                                        mutable_floats(x_grad, row), weight_grad, trains_norm ? weight_grad + n : nullptr);
        if (bf16) kernels::float_to_bf16_row(floats(x_grad, row), n, mutable_bf16s(delta_grad, row));
      }
    });
    const auto total = trains_norm ? sums.sum(0) : at::Tensor();
    return {x_grad,
            !adds  ? at::Tensor()
            : bf16 ? delta_grad
                   : x_grad,
            trains_norm ? total[0] : at::Tensor(),
            trains_norm ? total[1] : at::Tensor(),
            {},
            {},
            {}};
  }
};

struct Add : torch::autograd::Function<Add> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given, const at::Tensor& given_delta) {
    const auto x = given.contiguous(), delta = given_delta.contiguous();
    const auto sum = at::empty_like(x);
    for_rows(x, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (auto row = begin; row < end; ++row) add_into(x, delta, row, sum);
    });
    context->saved_data["bf16"] = is_bf16(delta);
    return sum;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    return {grads[0], context->saved_data["bf16"].toBool() ? grads[0].to(at::kBFloat16) : grads[0]};
  }
};

}  // namespace

Switch& fused_epilogues() {
  static Switch on("CELLSAM_FUSED_EPILOGUES");
  return on;
}

bool may_fuse_epilogues(const at::Tensor& x) { return fused_epilogues().on() && x.is_cpu() && !at::hasThreadLocalCallbacks(); }

AddedNorm add_norm(const at::Tensor& x, const at::Tensor& delta, torch::nn::LayerNormImpl& norm) {
  if (!can_norm(x, norm) || !can_add(x, delta)) {
    const auto sum = x + delta;
    return {sum, norm.forward(sum)};
  }
  const auto both = AddNorm::apply(x, std::optional(delta), norm.weight, norm.bias, norm.options.eps(), bf16_autocast(at::kCPU),
                                   /*wants_sum=*/true);
  return {both[1], both[0]};
}

at::Tensor norm_of(const at::Tensor& x, torch::nn::LayerNormImpl& norm) {
  if (!can_norm(x, norm)) return norm.forward(x);
  return AddNorm::apply(x, std::nullopt, norm.weight, norm.bias, norm.options.eps(), bf16_autocast(at::kCPU),
                        /*wants_sum=*/false)[0];
}

at::Tensor norm_of_sum(const at::Tensor& x, const at::Tensor& delta, torch::nn::LayerNormImpl& norm) {
  if (!can_norm(x, norm) || !can_add(x, delta)) return norm.forward(x + delta);
  return AddNorm::apply(x, std::optional(delta), norm.weight, norm.bias, norm.options.eps(), /*wants_bf16=*/false,
                        /*wants_sum=*/false)[0];
}

at::Tensor sum_of(const at::Tensor& x, const at::Tensor& delta) { return can_add(x, delta) ? Add::apply(x, delta) : x + delta; }

}  // namespace cellsam::ops
