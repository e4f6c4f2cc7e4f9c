// The CUDA kernels of row-column attention, run as host loops over blocks and threads: values and every gradient against the
// definition in float64, and the way from the model to the operators.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "cuda/row_column_tensors.h"
#include "kernels/attention_kernels.h"
#include "native/checks.h"
#include "native/kernel_loops.h"
#include "native/program.h"
#include "ops/cuda_row_column.h"

namespace cellsam::test::cuda_row_column_program {

namespace {

using namespace cellsam::cuda;
using at::Tensor;
using Tensors = std::vector<Tensor>;

std::size_t device_memory = 99 * 1024;  // bytes of shared memory that a block may have; 0: no kernel can run
auto order = ThreadOrder::forwards;

// The operators for tensors of the CPU, by loops on the host. What is to be written holds no numbers before.
Tensor row_column(const Tensor& query_row, const Tensor& query_col, const Tensor& key_row, const Tensor& key_col,
                  const Tensor& value, std::int64_t heads, const std::optional<Tensor>& hidden_columns,
                  const std::optional<Tensor>& hidden_rows) {
  const auto t = row_column_tensors(nullptr, query_row, query_col, key_row, key_col, value, heads, hidden_columns, hidden_rows);
  t.out.fill_(NAN);
  if (!t.empty()) loop_row_column(t.arguments, order);
  return t.out;
}

RowColumnGrads row_column_backward(const Tensor& gradient, const Tensor& query_row, const Tensor& query_col,
                                   const Tensor& key_row, const Tensor& key_col, const Tensor& value, std::int64_t heads,
                                   const std::optional<Tensor>& hidden_columns, const std::optional<Tensor>& hidden_rows) {
  const auto t =
      row_column_tensors(&gradient, query_row, query_col, key_row, key_col, value, heads, hidden_columns, hidden_rows);
  if (t.empty()) return grads_of(t);
  for (const auto& to : {t.query_row_grad, t.query_col_grad, t.key_row_grad, t.key_col_grad, t.value_grad, t.across_weight,
                         t.across_weight_grad, t.down_weight, t.down_weight_grad}) {
    to.fill_(NAN);
  }
  loop_row_column_backward(t.arguments, order);
  return grads_of(t);
}

struct Shape {
  std::int64_t items, queries, height, width, dim, heads;
  bool padded;
};

struct Hidden {
  std::optional<Tensor> columns, rows;
};

// Another size for every image, the last one whole.
Hidden hidden_of(const Shape& s) {
  if (!s.padded) return {};
  const auto beyond = [&](std::int64_t n) {
    return at::arange(n).unsqueeze(0) >= (n - s.items + 1 + at::arange(s.items)).unsqueeze(1);
  };
  return {beyond(s.width), beyond(s.height)};
}

Tensor definition(const Tensors& x, const Shape& s, const Hidden& hidden) {
  const auto weights = [&](const Tensor& query, const Tensor& key, const std::optional<Tensor>& none) {
    const auto split = [&](const Tensor& of) { return of.reshape({s.items, of.size(1), s.heads, -1}); };
    auto scores = at::einsum("bqnd,bknd->bnqk", {split(query), split(key)}) / std::sqrt(static_cast<double>(s.dim / s.heads));
    if (none) scores = scores.masked_fill(none->unsqueeze(1).unsqueeze(1), -INFINITY);
    return scores.softmax(-1);
  };
  const auto value = x[4].reshape({s.items, s.height, s.width, s.heads, -1});
  return at::einsum("bnqx,bnqy,byxnd->bqnd", {weights(x[0], x[2], hidden.columns), weights(x[1], x[3], hidden.rows), value})
      .reshape({s.items, s.queries, -1});
}

Tensor kernels(const Tensors& x, const Shape& s, const Hidden& hidden) {
  return ops::cuda_row_column(x[0], x[1], x[2], x[3], x[4], s.heads, hidden.columns, hidden.rows).value();
}

using Function = Tensor(const Tensors&, const Shape&, const Hidden&);

// The value, then the gradient of every input of sum(value * weight).
Tensors results_of(Function* function, const Tensors& inputs, const Tensor& weight, const Shape& s) {
  Tensors leaves, result;
  for (const auto& input : inputs) leaves.push_back(input.detach().clone().requires_grad_(true));
  const auto out = function(leaves, s, hidden_of(s));
  (out * weight).sum().backward();
  result.push_back(out.detach());
  for (const auto& leaf : leaves) result.push_back(leaf.grad());
  return result;
}

// Inputs are rounded to the precision first, so that only the kernels' own rounding counts.
void check_shape(Checks& checks, const Shape& s) {
  const auto random = [](at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble); };
  const Tensors inputs = {random({s.items, s.queries, s.dim}) * 2, random({s.items, s.queries, s.dim}) * 2,
                          random({s.items, s.width, s.dim}), random({s.items, s.height, s.dim}),
                          random({s.items, s.height, s.width, s.dim})};
  const auto by = random({s.items, s.queries, s.dim});
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Tensors rounded, exact;
    for (const auto& input : inputs) rounded.push_back(input.to(type)), exact.push_back(rounded.back().to(at::kDouble));
    const auto name = std::to_string(s.queries) + " on " + std::to_string(s.height) + "x" + std::to_string(s.width) + " dim " +
                      std::to_string(s.dim) + "/" + std::to_string(s.heads) + (type == at::kFloat ? " float32" : " bfloat16");
    const auto wanted = results_of(definition, exact, by.to(type).to(at::kDouble), s);
    const auto got = results_of(kernels, rounded, by.to(type), s);
    order = ThreadOrder::backwards;
    const auto backwards_results = results_of(kernels, rounded, by.to(type), s);
    order = ThreadOrder::forwards;
    static const char* const parts[] = {"value", "query_row", "query_col", "key_row", "key_col", "value gradient"};
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const auto largest = wanted[i].abs().max().item<double>(), scale = largest > 0 ? largest : 1;
      checks.near(name + ": " + parts[i], got[i].to(at::kDouble) / scale, wanted[i] / scale, type == at::kFloat ? 2e-6 : 4e-3);
      checks.holds(name + ": the threads' order changes nothing in " + parts[i], backwards_results[i].equal(got[i]));
    }
  }
}

// Rounding to bfloat16 is torch's.
void check_rounding(Checks& checks) {
  const auto from =
      at::cat({at::randn({1000}), at::tensor({1.00390625F, 1.01171875F, 3.4e38F, INFINITY, -INFINITY, 0.F, -0.F})});
  auto to = at::empty(from.sizes(), at::kBFloat16);
  for (std::int64_t i = 0; i < from.numel(); ++i) store({to.data_ptr(), true}, i, from[i].item<float>());
  checks.holds("bfloat16 rounds as torch does", to.equal(from.to(at::kBFloat16)));
  store({to.data_ptr(), true}, 0, NAN);
  checks.holds("NaN stays NaN", to[0].isnan().item<bool>() && std::isnan(load({to.data_ptr(), true}, 0)));
}

// A broken activation comes out, of its own query alone; and so does an image of which nothing is seen.
void check_not_finite(Checks& checks) {
  Shape s{2, 70, 6, 5, 16, 2, false};
  Tensors x = {at::randn({2, 70, 16}) * 1e4, at::randn({2, 70, 16}), at::randn({2, 5, 16}), at::randn({2, 6, 16}),
               at::randn({2, 6, 5, 16})};
  checks.holds("huge scores stay finite", kernels(x, s, {}).isfinite().all().item<bool>());
  x[1][0][66][3] = NAN;
  const auto out = kernels(x, s, {});
  checks.holds("NaN of a query comes out", out[0][66].slice(0, 0, 8).isnan().all().item<bool>());
  out[0][66].zero_();
  checks.holds("and of that query alone", out.isfinite().all().item<bool>());
  Hidden hidden{std::nullopt, at::zeros({2, 6}, at::kBool)};
  hidden.rows->select(0, 1).fill_(true);
  const auto blind = kernels({x[0], x[0], x[2], x[3], x[4]}, s, hidden);
  checks.holds("nothing seen gives NaN, in that image alone",
               blind[1].isnan().all().item<bool>() && blind[0].isfinite().all().item<bool>());
}

// Gradients that are one number expanded, inputs that are slices of something wider, and no query at all.
void check_views(Checks& checks) {
  const Shape s{1, 9, 3, 4, 8, 2, false};
  const auto wide = at::randn({1, 9, 16});
  const Tensors views = {wide.slice(2, 0, 8), wide.slice(2, 8), at::randn({1, 8, 4}).transpose(1, 2), at::randn({1, 3, 8}),
                         at::randn({1, 4, 3, 8}).transpose(1, 2)};
  Tensors leaves, exact;
  for (const auto& view : views) {
    leaves.push_back(view.detach().requires_grad_(true));
    exact.push_back(view.to(at::kDouble).detach().requires_grad_(true));
  }
  const auto got = kernels(leaves, s, {}), wanted = definition(exact, s, {});
  checks.near("views: value", got.detach().to(at::kDouble), wanted.detach(), 1e-5);
  got.sum().backward();
  wanted.sum().backward();
  for (std::size_t i = 0; i < leaves.size(); ++i)
    checks.near("views: gradient " + std::to_string(i), leaves[i].grad().to(at::kDouble), exact[i].grad(), 1e-5);
  auto value = at::randn({1, 3, 4, 8}).requires_grad_(true);
  const auto none = at::empty({1, 0, 8});
  const auto nothing = kernels({none, none, views[2], views[3], value}, {1, 0, 3, 4, 8, 2, false}, {});
  nothing.sum().backward();
  checks.holds("no query: nothing, and no gradient", nothing.numel() == 0 && value.grad().eq(0).all().item<bool>());
}

void check_refusals(Checks& checks) {
  const auto taken = [](std::int64_t height, std::int64_t width, std::int64_t dim, at::ScalarType type = at::kFloat) {
    const auto query = at::zeros({1, 2, dim}, type);
    return ops::cuda_row_column(query, query, at::zeros({1, width, dim}, type), at::zeros({1, height, dim}, type),
                                at::zeros({1, height, width, dim}, type), 1, std::nullopt, std::nullopt)
        .has_value();
  };
  checks.holds("the largest is taken", taken(64, 64, 64));
  checks.holds("more rows are left to torch", !taken(65, 64, 64));
  checks.holds("more columns are left to torch", !taken(64, 65, 64));
  checks.holds("larger heads are left to torch", !taken(64, 64, 68));
  checks.holds("heads that are no multiple of four are left to torch", !taken(4, 4, 6));
  checks.holds("float64 is left to torch", !taken(4, 4, 4, at::kDouble));
  kernels::attention::set_enabled(false);
  checks.holds("switched off", !taken(4, 4, 4));
  kernels::attention::set_enabled(true);
  device_memory = 0;
  checks.holds("a GPU that the library holds no code for is left to torch", !taken(4, 4, 4));
  // Of a block, as the driver gives it to compute capability 7.5 and 8.6.
  device_memory = 64 * 1024;
  checks.holds("CellSAM's heads fit an older GPU", taken(64, 64, 32));
  checks.holds("and the largest are left to torch there", !taken(64, 64, 64));
  device_memory = 99 * 1024;
  checks.holds("which newer ones hold", taken(64, 64, 64));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(cellsam_cuda, library) {
  library.def(cellsam::cuda::kRowColumnSchema);
  library.def(cellsam::cuda::kRowColumnBackwardSchema);
  library.def(cellsam::cuda::kRowColumnUsableSchema,
              [](std::int64_t, std::int64_t height, std::int64_t width, std::int64_t dim) {
                return most_shared_bytes(height, width, dim) <= device_memory;
              });
}
TORCH_LIBRARY_IMPL(cellsam_cuda, CPU, library) {
  library.impl("row_column", TORCH_FN(row_column));
  library.impl("row_column_backward", TORCH_FN(row_column_backward));
}

TEST_PROGRAM(cuda_row_column) {
  using namespace cellsam;
  at::manual_seed(7);
  kernels::attention::set_enabled(true);  // whatever the environment says
  Checks checks("cuda_row_column");
  check_shape(checks, {1, 100, 5, 9, 64, 8, false});
  check_shape(checks, {2, 48, 16, 8, 32, 1, true});
  check_shape(checks, {3, 97, 7, 12, 40, 2, true});
  check_shape(checks, {1, 1, 1, 1, 16, 1, false});
  check_shape(checks, {1, 131, 33, 64, 48, 1, false});
  check_shape(checks, {2, 65, 64, 63, 128, 2, true});
  check_rounding(checks);
  check_not_finite(checks);
  check_views(checks);
  check_refusals(checks);
  return checks.finish();
}

}  // namespace cellsam::test::cuda_row_column_program
