// torch's fused attention on CUDA: which kernel it takes, and the flash and memory-efficient ones with their backward passes,
// by the definition in float32.
#include <ATen/Context.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <torch/library.h>

#include <array>
#include <cmath>
#include <tuple>

#include "fake_cuda/host_views.h"
#include "fake_cuda/launch.h"
#include "fake_cuda/register.h"
#include "fake_cuda/report.h"
#include "fake_cuda/streams.h"

namespace fake_cuda {
namespace {

using at::Tensor;
using Optional = std::optional<Tensor>;

constexpr std::int64_t kWidestHead = 256;  // of flash attention

std::int64_t choose_attention(const Tensor& query, const Tensor& key, const Tensor& value, const Optional& mask, double, bool,
                              std::optional<double>, bool) {
  const auto& context = at::globalContext();
  const auto width = query.size(-1);
  const bool half = query.scalar_type() == at::kBFloat16 || query.scalar_type() == at::kHalf;
  const bool masked = mask && mask->defined();
  bool fits = query.dim() == 4;
  for (const auto& tensor : {query, key, value}) fits = fits && tensor.size(-1) == width && tensor.stride(-1) == 1;
  if (fits && half && context.userEnabledCuDNNSDP()) note("cuDNN is allowed to attend, and builds a plan for each new shape");
  if (fits && half && !masked && context.userEnabledFlashSDP() && width <= kWidestHead && width % 8 == 0)
    return static_cast<std::int64_t>(sdp::SDPBackend::flash_attention);
  if (fits && context.userEnabledMemEfficientSDP() && width % (half ? 8 : 4) == 0)
    return static_cast<std::int64_t>(sdp::SDPBackend::efficient_attention);
  note("attention in several operators: " + std::string(at::toString(query.scalar_type())) + ", heads of " +
       std::to_string(width));
  return static_cast<std::int64_t>(sdp::SDPBackend::math);
}

struct Heads {  // [B,heads,S,d] each
  Tensor query, key, value;
  Optional bias;
  double scale;

  Heads(const Tensor& q, const Tensor& k, const Tensor& v, const Optional& added, std::optional<double> factor)
      : query(q), key(k), value(v), scale(factor.value_or(1 / std::sqrt(static_cast<double>(q.size(-1))))) {
    if (added && added->defined()) bias = added;
  }

  Stream stream() const { return current_stream(query.device().index()); }

  std::vector<const void*> addresses() const {
    std::vector<const void*> all{address_of(query), address_of(key), address_of(value)};
    if (bias) all.push_back(address_of(*bias));
    return all;
  }

  Heads on_host() const {
    HostViews views;
    return {views.view(query), views.view(key), views.view(value), bias ? Optional(views.view(*bias)) : std::nullopt, scale};
  }

  Tensor scores() const {
    auto scores = at::matmul(query.to(at::kFloat), key.to(at::kFloat).transpose(-2, -1)) * scale;
    return bias ? scores + bias->to(at::kFloat) : scores;
  }
};

struct Attended {
  Tensor out, log_sum;
};

Attended attend(const char* name, const Heads& heads, double dropout, bool causal) {
  TORCH_CHECK(dropout == 0 && !causal, "the pretend device has no dropout and no causal attention");
  const auto& q = heads.query;
  // torch's kernels write [B,S,heads,d].
  const Attended result{at::empty({q.size(0), q.size(2), q.size(1), heads.value.size(3)}, q.options()).transpose(1, 2),
                        at::empty({q.size(0), q.size(1), q.size(2)}, q.options().dtype(at::kFloat))};
  launch({name, heads.stream(), heads.addresses(), {address_of(result.out), address_of(result.log_sum)}},
         [h = heads.on_host(), out = host_view(result.out), log_sum = host_view(result.log_sum)] {
           const auto scores = h.scores();
           log_sum.copy_(at::logsumexp(scores, -1));
           out.copy_(at::matmul(at::softmax(scores, -1), h.value.to(at::kFloat)));
         });
  return result;
}

std::array<Tensor, 3> attend_backward(const char* name, const Tensor& gradient, const Heads& heads, const Tensor& out,
                                      const Tensor& log_sum) {
  std::array<Tensor, 3> grads{at::empty_like(heads.query), at::empty_like(heads.key), at::empty_like(heads.value)};
  auto reads = heads.addresses();
  for (const auto& tensor : {gradient, out, log_sum}) reads.push_back(address_of(tensor));
  launch({name, heads.stream(), reads, {address_of(grads[0]), address_of(grads[1]), address_of(grads[2])}},
         [h = heads.on_host(), given = host_view(gradient), out = host_view(out), log_sum = host_view(log_sum),
          query = host_view(grads[0]), key = host_view(grads[1]), value = host_view(grads[2])] {
           const auto weights = (h.scores() - log_sum.unsqueeze(-1)).exp();
           const auto g = given.to(at::kFloat);
           value.copy_(at::matmul(weights.transpose(-2, -1), g));
           const auto weight_grads = at::matmul(g, h.value.to(at::kFloat).transpose(-2, -1));
           const auto score_grads = weights * (weight_grads - (g * out.to(at::kFloat)).sum(-1, true)) * h.scale;
           query.copy_(at::matmul(score_grads, h.key.to(at::kFloat)));
           key.copy_(at::matmul(score_grads.transpose(-2, -1), h.query.to(at::kFloat)));
         });
  return grads;
}

using FlashResult = std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor>;

FlashResult flash(const Tensor& q, const Tensor& k, const Tensor& v, double dropout, bool causal, bool,
                  std::optional<double> scale) {
  TORCH_CHECK(q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf, "FlashAttention only supports fp16 and bf16");
  const auto attended = attend("flash attention", {q, k, v, std::nullopt, scale}, dropout, causal);
  const auto integers = q.options().dtype(at::kLong);
  return {attended.out,
          attended.log_sum,
          Tensor(),
          Tensor(),
          q.size(2),
          k.size(2),
          at::empty({2}, integers),
          at::empty({}, integers),
          at::empty({0}, q.options())};
}

std::tuple<Tensor, Tensor, Tensor> flash_backward(const Tensor& gradient, const Tensor& q, const Tensor& k, const Tensor& v,
                                                  const Tensor& out, const Tensor& log_sum, const Tensor&, const Tensor&,
                                                  c10::SymInt, c10::SymInt, double, bool, const Tensor&, const Tensor&,
                                                  std::optional<double> scale) {
  auto grads = attend_backward("flash attention backward", gradient, {q, k, v, std::nullopt, scale}, out, log_sum);
  return {grads[0], grads[1], grads[2]};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> efficient(const Tensor& q, const Tensor& k, const Tensor& v, const Optional& bias,
                                                     bool, double dropout, bool causal, std::optional<double> scale) {
  const auto attended = attend("efficient attention", {q, k, v, bias, scale}, dropout, causal);
  const auto integers = q.options().dtype(at::kLong);
  return {attended.out, attended.log_sum, at::empty({}, integers), at::empty({}, integers)};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> efficient_backward(const Tensor& gradient, const Tensor& q, const Tensor& k,
                                                              const Tensor& v, const Tensor& bias, const Tensor& out,
                                                              const Tensor& log_sum, const Tensor&, const Tensor&, double,
                                                              std::array<bool, 4> wanted, bool, std::optional<double> scale) {
  if (!gradient.defined()) return {};
  TORCH_CHECK(!wanted[3], "the pretend device has no gradient of an attention's bias");
  auto grads = attend_backward("efficient attention backward", gradient, {q, k, v, bias, scale}, out, log_sum);
  return {grads[0], grads[1], grads[2], Tensor()};
}

}  // namespace

void register_attention() { at::native::_fused_sdp_choice_stub.set_cuda_dispatch_ptr(&choose_attention); }

}  // namespace fake_cuda

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("_fused_sdp_choice", TORCH_FN(fake_cuda::choose_attention));
  library.impl("_scaled_dot_product_flash_attention", TORCH_FN(fake_cuda::flash));
  library.impl("_scaled_dot_product_flash_attention_backward", TORCH_FN(fake_cuda::flash_backward));
  library.impl("_scaled_dot_product_efficient_attention", TORCH_FN(fake_cuda::efficient));
  library.impl("_scaled_dot_product_efficient_attention_backward", TORCH_FN(fake_cuda::efficient_backward));
}
