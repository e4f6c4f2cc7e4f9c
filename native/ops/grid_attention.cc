#include "ops/grid_attention.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "ops/folded_attention.h"
#include "ops/grid_attention_cpu.h"

namespace cellsam::ops {
namespace {

struct GridAttentionOnCpu : torch::autograd::Function<GridAttentionOnCpu> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& qkv, const at::Tensor& pad,
                            const at::Tensor& table_h, const at::Tensor& table_w, std::int64_t heads, std::int64_t side) {
    const auto shape = shape_of(qkv, heads, side);
    const auto dense = qkv.contiguous(), fill = pad.contiguous(), h = table_h.contiguous(), w = table_w.contiguous();
    const auto result = attend_on_cpu(shape, dense, fill, h, w);
    context->save_for_backward({dense, fill, h, w, result.out, result.lse});
    context->saved_data["heads"] = heads;
    context->saved_data["side"] = side;
    return result.out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto shape = shape_of(saved[0], context->saved_data["heads"].toInt(), context->saved_data["side"].toInt());
    const auto grad = grads[0].to(saved[0].scalar_type()).contiguous();
    const auto found =
        attend_on_cpu_backward(shape, saved[0], saved[1], saved[2], saved[3], GridAttentionOutput{saved[4], saved[5]}, grad);
    const auto type = saved[2].scalar_type();
    return {found.qkv, found.pad, found.table_h.to(type), found.table_w.to(type), {}, {}};
  }

  static GridShape shape_of(const at::Tensor& qkv, std::int64_t heads, std::int64_t side) {
    return {qkv.size(0), qkv.size(1), side, heads, qkv.size(3) / (3 * heads)};
  }
};

}  // namespace

Switch& grid_attention_kernel() {
  static Switch on("CELLSAM_GRID_ATTENTION");
  return on;
}

at::Tensor grid_attention(const at::Tensor& qkv, const at::Tensor& pad, const at::Tensor& table_h, const at::Tensor& table_w,
                          std::int64_t heads, std::int64_t side, KeptTensor* kept) {
  const auto type = qkv.scalar_type();
  // Who watches torch's operations, to find the one that made NaN, could not see into the kernel.
  const bool watched = at::hasThreadLocalCallbacks();
  if (qkv.is_cpu() && grid_attention_kernel().on() && !watched &&
      can_attend_on_cpu(GridAttentionOnCpu::shape_of(qkv, heads, side), type)) {
    return GridAttentionOnCpu::apply(qkv, pad.to(type), table_h.to(type), table_w.to(type), heads, side);
  }
  return folded_attention(qkv, pad, table_h, table_w, heads, side, kept);
}

}  // namespace cellsam::ops
