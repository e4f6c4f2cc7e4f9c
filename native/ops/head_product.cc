#include "ops/head_product.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/parallel.h"
#include "kernels/mask_decoder_kernels.h"
#include "ops/decoder_kernels.h"

namespace cellsam::ops {
namespace {

// The three products of q [N,H,t,E], weights [N,H,t,G] and map [H,E,G], each over the dimensions that two of them share.

at::Tensor scores(const at::Tensor& q, const at::Tensor& map) {
  const kernels::HeadShape shape{q.size(2), q.size(3), map.size(2)};
  const auto n = q.size(0), heads = q.size(1);
  auto out = at::empty({n, heads, shape.tokens, shape.image_tokens}, q.options());
  const auto *from = q.const_data_ptr<float>(), *with = map.const_data_ptr<float>();
  auto* to = out.data_ptr<float>();
  parallel_for(0, n * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      kernels::mask_decoder_kernels().scores(shape, from + i * shape.tokens * shape.channels,
                                             with + i % heads * shape.channels * shape.image_tokens,
                                             to + i * shape.tokens * shape.image_tokens);
    }
  });
  return out;
}

at::Tensor values(const at::Tensor& weights, const at::Tensor& map) {
  const kernels::HeadShape shape{weights.size(2), map.size(1), map.size(2)};
  const auto n = weights.size(0), heads = weights.size(1);
  auto out = at::empty({n, heads, shape.tokens, shape.channels}, weights.options());
  const auto *from = weights.const_data_ptr<float>(), *with = map.const_data_ptr<float>();
  auto* to = out.data_ptr<float>();
  parallel_for(0, n * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      kernels::mask_decoder_kernels().values(shape, from + i * shape.tokens * shape.image_tokens,
                                             with + i % heads * shape.channels * shape.image_tokens,
                                             to + i * shape.tokens * shape.channels);
    }
  });
  return out;
}

// A head in one thread and prompt after prompt, so that the sum does not depend on the number of threads.
at::Tensor sum_map(const at::Tensor& q, const at::Tensor& weights) {
  const kernels::HeadShape shape{q.size(2), q.size(3), weights.size(3)};
  const auto n = q.size(0), heads = q.size(1);
  auto out = at::zeros({heads, shape.channels, shape.image_tokens}, q.options());
  const auto *from = q.const_data_ptr<float>(), *with = weights.const_data_ptr<float>();
  auto* to = out.data_ptr<float>();
  parallel_for(0, heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto head = begin; head < end; ++head) {
      for (std::int64_t i = head; i < n * heads; i += heads) {
        kernels::mask_decoder_kernels().add_map(shape, from + i * shape.tokens * shape.channels,
                                                with + i * shape.tokens * shape.image_tokens,
                                                to + head * shape.channels * shape.image_tokens);
      }
    }
  });
  return out;
}

struct Scores : torch::autograd::Function<Scores> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q, const at::Tensor& map) {
    context->save_for_backward({q, map});
    return scores(q, map);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto grad = grads[0].contiguous();
    return {context->needs_input_grad(0) ? values(grad, saved[1]) : at::Tensor(),
            context->needs_input_grad(1) ? sum_map(saved[0], grad) : at::Tensor()};
  }
};

struct Values : torch::autograd::Function<Values> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& weights, const at::Tensor& map) {
    context->save_for_backward({weights, map});
    return values(weights, map);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto grad = grads[0].contiguous();
    return {context->needs_input_grad(0) ? scores(grad, saved[1]) : at::Tensor(),
            context->needs_input_grad(1) ? sum_map(grad, saved[0]) : at::Tensor()};
  }
};

bool has_head_kernels(const at::Tensor& a, const at::Tensor& map) {
  return decoder_kernels().on() && a.is_cpu() && a.scalar_type() == at::kFloat && map.scalar_type() == at::kFloat &&
         map.size(2) % kernels::kImageTokenStep == 0;
}

}  // namespace

at::Tensor head_scores(const at::Tensor& q, const at::Tensor& map) {
  const auto n = q.size(0), heads = q.size(1), tokens = q.size(2), image_tokens = map.size(2);
  if (has_head_kernels(q, map)) return Scores::apply(q.contiguous(), map.contiguous()).view({n, heads * tokens, image_tokens});
  const auto by_head = q.transpose(0, 1).reshape({heads, n * tokens, q.size(3)});
  return at::bmm(by_head, map)
      .view({heads, n, tokens, image_tokens})
      .transpose(0, 1)
      .reshape({n, heads * tokens, image_tokens});
}

at::Tensor head_values(const at::Tensor& weights, const at::Tensor& map) {
  const auto n = weights.size(0), heads = map.size(0), tokens = weights.size(1) / heads, image_tokens = map.size(2);
  const auto split = weights.reshape({n, heads, tokens, image_tokens});
  if (has_head_kernels(weights, map)) return Values::apply(split.contiguous(), map.contiguous());
  const auto by_head = split.transpose(0, 1).reshape({heads, n * tokens, image_tokens});
  return at::bmm(by_head, map.transpose(1, 2)).view({heads, n, tokens, map.size(1)}).transpose(0, 1);
}

}  // namespace cellsam::ops
