// The fused attentions against their definitions in float64: values and every gradient, padded and odd shapes, both
// precisions, one and two threads, every instruction set of this processor. Prints the lines that a parity program prints.
#include "ops/fused_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include <map>
#include <vector>

#include "kernels/attention_kernels.h"
#include "kernels/isa.h"
#include "model/cellsam.h"
#include "native/checks.h"
#include "native/program.h"

namespace cellsam::test::fused_attention_program {

namespace {

void begin_autocast() {
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::increment_nesting();
}
void end_autocast() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
}

using Tensors = std::vector<at::Tensor>;
using Function = std::function<at::Tensor(const Tensors&)>;

// The value, then the gradient of every input of sum(value * weight).
Tensors run(const Function& function, const Tensors& inputs, const at::Tensor& weight) {
  Tensors leaves, result;
  for (const auto& input : inputs) leaves.push_back(input.detach().clone().requires_grad_(true));
  const auto out = function(leaves);
  (out * weight.to(out.scalar_type())).sum().backward();
  result.push_back(out.detach());
  for (const auto& leaf : leaves) result.push_back(leaf.grad());
  return result;
}

at::Tensor heads_of(const at::Tensor& x, std::int64_t heads) {  // [B,n,E] -> [B,heads,n,d]
  return x.reshape({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
}

at::Tensor softmax_scores(const at::Tensor& query, const at::Tensor& key, std::int64_t heads,
                          const std::optional<at::Tensor>& hidden) {
  const auto q = heads_of(query, heads), k = heads_of(key, heads);
  auto scores = at::einsum("bhqd,bhkd->bhqk", {q, k}) / std::sqrt(static_cast<double>(q.size(3)));
  if (hidden) scores = scores.masked_fill(hidden->unsqueeze(1).unsqueeze(1), -INFINITY);
  return scores.softmax(-1);
}

struct Shape {
  std::int64_t batch, queries, height, width, dim, heads;
  bool padded;
};

at::Tensor defined_row_column(const Tensors& x, const Shape& shape, const std::optional<at::Tensor>& columns,
                              const std::optional<at::Tensor>& rows) {
  const auto over_width = softmax_scores(x[0], x[2], shape.heads, columns);
  const auto over_height = softmax_scores(x[1], x[3], shape.heads, rows);
  const auto value = x[4].reshape({shape.batch, shape.height, shape.width, shape.heads, -1});
  return at::einsum("bnqx,bnqy,byxnd->bqnd", {over_width, over_height, value}).reshape({shape.batch, shape.queries, -1});
}

void compare(Checks& checks, const std::string& name, const Tensors& got, const Tensors& expected, double limit) {
  static const char* const parts[] = {"value", "grad 0", "grad 1", "grad 2", "grad 3", "grad 4"};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto largest = expected[i].abs().max().item<double>();
    const auto scale = largest > 0 ? largest : 1;  // a query that sees one key learns nothing
    checks.near(name + " " + parts[i], got[i].to(at::kDouble) / scale, expected[i] / scale, limit);
  }
}

bool equal(const Tensors& a, const Tensors& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = a[i].equal(b[i]);
  return same;
}

// Inputs are rounded to the precision first, so that only the kernel's own rounding counts.
void check(Checks& checks, const std::string& name, const Function& fused, const Function& defined, Tensors inputs,
           const at::Tensor& weight) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Tensors rounded, exact;
    for (const auto& input : inputs) rounded.push_back(input.to(type)), exact.push_back(rounded.back().to(at::kDouble));
    const auto label = name + (type == at::kFloat ? " float32" : " bfloat16");
    at::set_num_threads(1);
    const auto got = run(fused, rounded, weight.to(type));
    compare(checks, label, got, run(defined, exact, weight.to(type).to(at::kDouble)), type == at::kFloat ? 1e-5 : 1e-2);
    checks.holds(label + " again", equal(got, run(fused, rounded, weight.to(type))));
    at::set_num_threads(2);
    checks.holds(label + " with two threads", equal(got, run(fused, rounded, weight.to(type))));
  }
}

void check_row_column(Checks& checks, const Shape& s) {
  const auto random = [](at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble); };
  const Tensors inputs = {random({s.batch, s.queries, s.dim}) * 2, random({s.batch, s.queries, s.dim}) * 2,
                          random({s.batch, s.width, s.dim}), random({s.batch, s.height, s.dim}),
                          random({s.batch, s.height, s.width, s.dim})};
  std::optional<at::Tensor> columns, rows;
  if (s.padded) {  // another size for every image, the last one whole
    columns = at::arange(s.width).unsqueeze(0) >= (s.width - s.batch + 1 + at::arange(s.batch)).unsqueeze(1);
    rows = at::arange(s.height).unsqueeze(0) >= (s.height - s.batch + 1 + at::arange(s.batch)).unsqueeze(1);
  }
  const auto name = "row-column " + std::to_string(s.queries) + " on " + std::to_string(s.height) + "x" +
                    std::to_string(s.width) + " dim " + std::to_string(s.dim) + "/" + std::to_string(s.heads);
  check(
      checks, name,
      [&](const Tensors& x) { return ops::fused_row_column(x[0], x[1], x[2], x[3], x[4], s.heads, columns, rows); },
      [&](const Tensors& x) { return defined_row_column(x, s, columns, rows); }, inputs, random({s.batch, s.queries, s.dim}));
}

void check_dense(Checks& checks, std::int64_t queries, std::int64_t keys, std::int64_t dim, std::int64_t heads) {
  const auto random = [](at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble); };
  const auto name = "attention " + std::to_string(queries) + " on " + std::to_string(keys) + " dim " + std::to_string(dim) +
                    "/" + std::to_string(heads);
  check(
      checks, name, [&](const Tensors& x) { return ops::fused_attention(x[0], x[1], x[2], heads); },
      [&](const Tensors& x) {
        const auto mixed = at::matmul(softmax_scores(x[0], x[1], heads, std::nullopt), heads_of(x[2], heads));
        return mixed.transpose(1, 2).reshape({2, queries, dim});
      },
      {random({2, queries, dim}) * 2, random({2, keys, dim}), random({2, keys, dim})}, random({2, queries, dim}));
}

// Rows inside a wider tensor, as a merged projection gives them, and a gradient that is one number expanded.
void check_views(Checks& checks) {
  const auto wide = at::randn({1, 50, 96});
  const auto parts = wide.chunk(3, 2);
  checks.holds("rows of a wider tensor",
               ops::fused_attention(parts[0], parts[1], parts[2], 2)
                   .equal(ops::fused_attention(parts[0].contiguous(), parts[1].contiguous(), parts[2].contiguous(), 2)));
  auto leaf = wide.clone().requires_grad_(true);
  const auto of_leaf = leaf.chunk(3, 2);
  ops::fused_attention(of_leaf[0], of_leaf[1], of_leaf[2], 2).sum().backward();
  auto twin = wide.clone().to(at::kDouble).requires_grad_(true);
  const auto of_twin = twin.chunk(3, 2);
  at::matmul(softmax_scores(of_twin[0], of_twin[1], 2, std::nullopt), heads_of(of_twin[2], 2)).sum().backward();
  checks.near("gradient of a sum", leaf.grad().to(at::kDouble), twin.grad(), 1e-5);
}

// A broken activation shows in the output, so that the search for its layer finds it; huge scores break nothing.
void check_extremes(Checks& checks) {
  auto query = at::randn({1, 60, 32}), key = at::randn({1, 70, 32}), value = at::randn({1, 70, 32});
  const auto huge = ops::fused_attention(query * 1e4, key, value, 1);
  checks.holds("huge scores stay finite", huge.isfinite().all().item<bool>());
  query[0][3][5] = NAN;
  const auto out = ops::fused_attention(query, key, value, 1);
  checks.holds("NaN of a query comes out", out[0][3].isnan().all().item<bool>());
  checks.holds("and of that query alone", out[0].slice(0, 4).isfinite().all().item<bool>());
}

// What the head makes of `features`, then the gradients of its parameters by name.
struct Answer {
  Tensors out;
  std::map<std::string, at::Tensor> gradients;
};
Answer answer(model::CellFinder& net, const at::Tensor& features, std::int64_t boxes, bool half) {
  net->zero_grad();
  if (half) begin_autocast();
  const auto detections = net->head(features);
  if (half) end_autocast();
  Answer result;
  auto loss = at::zeros({}, features.options());
  for (std::int64_t i = 0; i < detections.boxes.size(0); ++i) {
    result.out.push_back(detections.logits[i].slice(1, 0, boxes).detach());
    result.out.push_back(detections.boxes[i].slice(1, 0, boxes).detach());
    loss =
        loss + detections.logits[i].slice(1, 0, boxes).square().mean() + detections.boxes[i].slice(1, 0, boxes).square().mean();
  }
  loss.backward();
  for (const auto& parameter : net->decode_head->named_parameters()) {
    if (parameter.value().grad().defined()) result.gradients[parameter.key()] = parameter.value().grad().clone();
  }
  return result;
}

void compare(Checks& checks, const std::string& name, const Answer& got, const Answer& expected, double limit) {
  double worst = 0;
  for (std::size_t i = 0; i < expected.out.size(); ++i) {
    worst = std::max(worst, (got.out[i] - expected.out[i]).abs().max().item<double>());
  }
  checks.near(name + ": answers", worst, 0, limit);
  double square = 0, difference = 0;
  for (const auto& [key, gradient] : expected.gradients) {
    if (key.find("pattern") != std::string::npos) continue;
    const auto found = got.gradients.find(key);
    const auto other = found == got.gradients.end() ? at::zeros_like(gradient) : found->second;
    square += gradient.square().sum().item<double>();
    difference += (other - gradient).square().sum().item<double>();
  }
  checks.near(name + ": gradients", std::sqrt(difference / square), 0, limit);
}

// The whole head. Two equal patterns ask everything twice, so their answers are those of one pattern, which the layers treat
// apart; and with the kernels off, or in bfloat16, it still answers and learns the same.
void check_head(Checks& checks) {
  auto size = model::model_size("tiny", Dict{{"depth", 1}, {"num_queries", 49}});
  model::CellFinder one(size);
  size.num_patterns = 2;
  model::CellFinder two(size);
  {
    at::NoGradGuard no_grad;
    const auto from = one->named_parameters();
    for (auto& parameter : two->named_parameters()) parameter.value().copy_(from[parameter.key()]);  // one row becomes two
  }
  const auto features = at::randn({2, size.embed_dim, 6, 9});
  const auto fused = answer(one, features, 49, false);
  compare(checks, "two equal patterns", answer(two, features, 49, false), fused, 1e-5);
  const auto half = answer(one, features, 49, true);
  kernels::attention::set_enabled(false);
  compare(checks, "kernels off", fused, answer(one, features, 49, false), 1e-5);
  kernels::attention::set_enabled(true);
  compare(checks, "bfloat16", half, fused, 5e-2);
}

void check_switch(Checks& checks) {
  const auto x = at::zeros({1, 1, 16});
  const auto half = x.to(at::kBFloat16);
  checks.holds("both precisions or none", ops::can_fuse(x) == ops::can_fuse(half));
  kernels::attention::set_enabled(false);
  checks.holds("switched off", !ops::can_fuse(x));
  kernels::attention::set_enabled(true);
  {
    const kernels::attention::Pause pause;
    checks.holds("paused", !ops::can_fuse(x));
  }
  checks.holds("no float64", !ops::can_fuse(x.to(at::kDouble)));
}

}  // namespace

TEST_PROGRAM(fused_attention) {
  using namespace cellsam;
  at::manual_seed(7);
  Checks checks("fused_attention");
  check_switch(checks);
  for (const auto level : {kernels::Isa::avx512, kernels::Isa::avx2}) {
    kernels::use_isa(level);
    if (kernels::isa() != level || !ops::can_fuse(at::zeros({1}))) continue;  // this processor has no such kernels
    check_row_column(checks, {1, 100, 5, 9, 64, 8, false});
    check_row_column(checks, {2, 48, 16, 8, 32, 1, true});
    check_row_column(checks, {3, 97, 7, 12, 40, 2, true});
    check_row_column(checks, {1, 1, 1, 1, 16, 1, false});
    check_row_column(checks, {1, 131, 33, 64, 48, 1, false});
    check_dense(checks, 131, 131, 64, 8);
    check_dense(checks, 48, 64, 32, 1);
    check_dense(checks, 5, 200, 40, 2);
    check_dense(checks, 100, 1, 48, 1);
    check_views(checks);
    check_extremes(checks);
    check_head(checks);
  }
  return checks.finish();
}

}  // namespace cellsam::test::fused_attention_program
